//! R37: connections share what is limited for all, in turn.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::Router;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Error, prelude::*, queue::Inbox};
use wasabi_tests::{Client, Gate, TestServer, http_service, serve, until};

/// The default number of requests that one connection may have in flight.
const SLOTS: usize = 25;

/// A client with as many requests in flight as it may have.
async fn flooding(server: &TestServer) -> Client {
    let mut client = server.connect("/").await;
    for _ in 0..SLOTS {
        client.send("flood").await;
    }
    client
}

/// A ping is answered once everything sent before it has been taken.
async fn all_is_taken(client: &mut Client) {
    client.send(Frame::Ping("all of it".into())).await;
    assert_eq!(client.next().await, Frame::Pong("all of it".into()));
}

#[tokio::test]
async fn ten_flooding_connections_delay_another_one_by_one_request_each() {
    const PLACES: usize = 5;
    const FLOODING: usize = 10;
    let (gate, served) = (Gate::closed(), Arc::new(Mutex::new(Vec::new())));
    let (service, serves) = (gate.clone(), Arc::clone(&served));
    let service = Router::new().fallback(async move |body: String| {
        serves.lock().unwrap().push(body.clone());
        service.pass().await;
        body
    });
    let backend = Http::post(http_service(service).await).concurrency(PLACES);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut clients = Vec::new();
    for _ in 0..FLOODING {
        let mut client = flooding(&server).await;
        all_is_taken(&mut client).await;
        clients.push(client);
    }
    until("all places are taken", || gate.running() == PLACES).await;
    let mut victim = server.connect("/").await;
    victim.send("victim").await;
    all_is_taken(&mut victim).await;

    gate.open.add_permits(FLOODING * SLOTS + 1);
    assert_eq!(victim.text().await, "victim");
    let served = served.lock().unwrap();
    let before = served.iter().position(|body| body == "victim").unwrap();
    // Requests served at the same time come in any order.
    assert!(before <= FLOODING + 2 * PLACES, "after {before} others");
}

/// One connection floods a target that admits four requests and holds them at the gate. Another, which uses only its
/// share, is never refused, and the flooding one is refused at once.
async fn shares(server: TestServer, gate: Gate) {
    let mut flood = flooding(&server).await;
    for _ in 0..SLOTS - 4 {
        assert!(flood.text().await.starts_with("overloaded"));
    }
    assert_eq!(gate.running(), 4);
    let mut victim = server.connect("/").await;
    for round in 0..20 {
        victim.send("victim").await;
        all_is_taken(&mut victim).await;
        assert_eq!(gate.running(), 4);
        gate.open.add_permits(1);
        // The request that passed belongs to the flood, as the victim was not inside. The flood asks for the place at
        // once.
        assert_eq!(flood.text().await, "flood", "in round {round}");
        flood.send("flood").await;
        assert!(flood.text().await.starts_with("overloaded"));
        // All pass, including the victim.
        until("the victim is inside", || gate.running() == 4).await;
        gate.open.add_permits(4);
        for _ in 0..3 {
            assert_eq!(flood.text().await, "flood");
        }
        assert_eq!(victim.text().await, "victim");
        until("all are out", || gate.running() == 0).await;
        for _ in 0..4 {
            flood.send("flood").await;
        }
        until("the flood is back", || gate.running() == 4).await;
    }
}

#[tokio::test]
async fn a_throttle_keeps_a_share_for_each_connection() {
    let gate = Gate::closed();
    let inside = gate.clone();
    let held = move |text: Text| {
        let inside = inside.clone();
        async move {
            inside.pass().await;
            text
        }
    };
    let server = serve(gateway!(channel(
        "/",
        with([Throttle::new(4).wait(60s)], held)
    )))
    .await;
    shares(server, gate).await;
}

#[tokio::test]
async fn a_throttle_keeps_a_share_for_each_connection_with_the_same_key() {
    let gate = Gate::closed();
    let inside = gate.clone();
    let held = move |text: Text| {
        let inside = inside.clone();
        async move {
            inside.pass().await;
            text
        }
    };
    let throttle = Throttle::new(4)
        .wait(Duration::from_secs(60))
        .by(|req: &Request| req.connection().uri().path().to_owned());
    let server = serve(gateway!(channel("/", with([throttle], held)))).await;
    shares(server, gate).await;
}

#[tokio::test]
async fn a_queue_keeps_a_share_of_its_places_for_each_connection() {
    let gate = Gate::closed();
    let inside = gate.clone();
    let inbox = Arc::new(OnceLock::<Inbox>::new());
    let replies = Arc::clone(&inbox);
    let queue = Queue::callback(move |req: Request, id| {
        let (inside, replies) = (inside.clone(), Arc::clone(&replies));
        async move {
            inside.pass().await;
            let replies = replies.get().expect("the inbox of this queue");
            replies.reply(id, req.message().clone());
            Ok::<_, Error>(())
        }
    });
    assert!(inbox.set(queue.inbox()).is_ok());
    let server = serve(gateway!(channel(
        "/",
        queue.max_pending(4).publish_timeout(60s)
    )))
    .await;
    shares(server, gate).await;
}
