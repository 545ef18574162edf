//! Cancelled streams and long replies.

use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{middleware::request::Throttle, prelude::*};
use wasabi_tests::{Gate, serve, until};

use super::{Alive, cancelled, signed, ticks};

#[tokio::test]
async fn a_stream_ends_and_nothing_of_it_follows() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let (held, lives) = (gate.clone(), alive.clone());
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        move |id: RequestId| {
            let ticks = ticks(id, held.clone(), &lives);
            async { Replies(ticks) }
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("+7 ticks").await, "7 0");
    assert_eq!(client.ask("+8 ticks").await, "8 0");
    client.send("-7").await;
    assert_eq!(client.text().await, cancelled("7"));
    until("its source is dropped", || alive.count() == 1).await;
    gate.open.add_permits(3);
    for n in 1..=3 {
        assert_eq!(client.text().await, format!("8 {n}"));
    }
}

#[tokio::test]
async fn a_cancellation_needs_no_slot() {
    let (gate, alive) = (Gate::closed(), Alive::default());
    let lives = alive.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        parser = signed,
        move |id: RequestId| {
            let ticks = ticks(id, gate.clone(), &lives);
            async { Replies(ticks) }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 1..=100 {
        assert_eq!(client.ask(&format!("+{id} ticks")).await, format!("{id} 0"));
        assert_eq!(alive.count(), 1);
        let end = client.ask(&format!("-{id}")).await;
        assert_eq!(end, cancelled(&id.to_string()));
    }
}

#[tokio::test]
async fn the_rest_of_a_long_reply_is_not_sent() {
    let server = serve(gateway!(channel(
        "/",
        parser = signed,
        async |id: RequestId| {
            vec![vec![b'x'; 32 * 1024]; 2000]
                .into_iter()
                .map(move |data| match id.as_str() {
                    "7" => Message::Binary(data.into()),
                    _ => Message::text("other"),
                })
                .collect::<Vec<_>>()
        }
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("+7 long").await;
    for _ in 0..10 {
        client.binary().await;
    }
    client.send("-7").await;
    let mut more = 0;
    loop {
        match client.next().await {
            Frame::Binary(_) => more += 1,
            end => break assert_eq!(end.into_text().expect("text"), cancelled("7")),
        }
    }
    // The system's buffers are full of them.
    assert!(more < 1000, "{more} more messages of 32 KiB");
    client.silent().await;
    assert_eq!(client.ask("+8 other").await, "other");
}

#[tokio::test]
async fn ten_thousand_streams_cancelled_by_id_leave_nothing() {
    const CLIENTS: usize = 10;
    const EACH: usize = 1000;
    const STREAMS: usize = CLIENTS * EACH;
    let (gate, alive) = (Gate::closed(), Alive::default());
    let (held, lives) = (gate.clone(), alive.clone());
    let server = serve(gateway!(channel(
        "/",
        concurrency = EACH,
        parser = signed,
        middleware = [Throttle::new(STREAMS)],
        move |id: RequestId| {
            let ticks = ticks(id, held.clone(), &lives);
            async { Replies(ticks) }
        },
    )))
    .await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.connect("/").await);
    }
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    for _ in 0..2 {
        for client in &mut clients {
            for id in 0..EACH {
                client.send(format!("+{id} ticks")).await;
            }
            for id in 0..EACH {
                assert_eq!(client.text().await, format!("{id} 0"));
            }
        }
        assert_eq!((alive.count(), gate.running()), (STREAMS, STREAMS));
        for client in &mut clients {
            for id in 0..EACH {
                client.send(format!("-{id}")).await;
            }
            for id in 0..EACH {
                assert_eq!(client.text().await, cancelled(&id.to_string()));
            }
        }
        assert_eq!((alive.count(), gate.running()), (0, 0));
        assert_eq!(runtime.num_alive_tasks(), before);
        // The second round needs every slot and every permit again.
    }
}
