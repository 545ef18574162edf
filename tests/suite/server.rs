//! The server: readiness, drain, stop, mistakes.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;
use wasabi::prelude::*;
use wasabi_tests::{Client, serve, serve_with, soon, until};

#[tokio::test]
async fn a_drain_delivers_what_is_in_flight_then_closes_with_1012() {
    let gate = Arc::new(Notify::new());
    let registry = Registry::new();
    let held = Arc::clone(&gate);
    let server = serve(gateway!(
        get("/readyz", readiness),
        channel("/", registry = registry.clone(), move |text: Text| {
            let held = held.clone();
            async move {
                held.notified().await;
                text
            }
        },),
    ))
    .await;
    let mut client = server.connect("/").await;
    let mut idle = server.connect("/").await;
    assert_eq!(server.get("/readyz").await, 200);
    client.send("in flight").await;
    // The pong shows that the message before it has been read.
    client
        .send(tokio_tungstenite::tungstenite::Message::Ping("".into()))
        .await;
    client.next().await;

    server.handle.drain();
    assert_eq!(idle.closed().await.0, 1012);
    assert_eq!(server.get("/readyz").await, 503);
    assert_eq!(
        server.connect_with("/", &[]).await.err().unwrap().status(),
        503
    );
    gate.notify_one();
    assert_eq!(client.text().await, "in flight");
    assert_eq!(client.closed().await.0, 1012);
    server.ended().await.unwrap();
    assert!(registry.is_empty());
}

#[tokio::test]
async fn at_the_drain_deadline_the_rest_is_cut() {
    let server = serve_with(
        gateway!(channel("/", async |_: Text| std::future::pending::<()>().await)),
        |server| server.drain_timeout(Duration::from_millis(200)),
    )
    .await;
    let mut client = server.connect("/").await;
    client.send("for ever").await;
    server.drain().await.unwrap();
    assert!(client.text().await.starts_with("interrupted: "));
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn a_stop_ends_everything_at_once() {
    let server = serve(gateway!(channel("/", async |_: Text| {
        std::future::pending::<()>().await
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("for ever").await;
    // The pong shows that the message before it has been read.
    client
        .send(tokio_tungstenite::tungstenite::Message::Ping("".into()))
        .await;
    client.next().await;
    server.handle.drain();
    server.handle.stop();
    soon(server.ended()).await.unwrap();
    assert!(client.text().await.starts_with("interrupted: "));
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn a_drain_spreads_its_closes_over_the_window() {
    let server = serve_with(gateway!(channel("/", async |text: Text| text)), |server| {
        // One connection every two seconds.
        server.drain_spread(Duration::from_secs(8))
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect("/").await;
        client.ask("hello").await;
        clients.push(client);
    }
    let start = std::time::Instant::now();
    server.handle.drain();
    let mut ends: FuturesUnordered<_> = clients.iter_mut().map(Client::closed).collect();
    ends.next().await;
    assert!(start.elapsed() < Duration::from_millis(1500));
    ends.next().await;
    assert!(start.elapsed() >= Duration::from_millis(1900));
    server.handle.stop();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_server_without_connections_drains_at_once() {
    let server = serve(gateway!(channel("/", async |text: Text| text))).await;
    let start = std::time::Instant::now();
    server.drain().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn no_more_sockets_than_allowed_are_open() {
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        async |text: Text| text
    ));
    let server = serve_with(gateway, |server| server.max_sockets(2)).await;
    let one = server.connect("/").await;
    let _two = server.connect("/").await;
    let third = tokio::spawn({
        let url = server.url("/");
        async move { tokio_tungstenite::connect_async(url).await.is_ok() }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(registry.len(), 2);
    assert!(!third.is_finished());
    one.close(1000, "").await;
    assert!(soon(third).await.unwrap());
    until("the third is in", || registry.len() == 2).await;
}

#[tokio::test]
async fn a_slow_endpoint_is_answered_503() {
    let server = serve_with(
        gateway!(get("/slow", async || std::future::pending::<&str>().await)),
        |server| server.request_timeout(Duration::from_millis(50)),
    )
    .await;
    assert_eq!(server.get("/slow").await, 503);
}

#[tokio::test]
async fn an_address_in_use_is_a_clear_error() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let gateway = gateway!(channel("/", async |text: Text| text));
    let error = Server::bind(addr).serve(gateway).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {addr}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn a_gateway_is_part_of_an_axum_application() {
    let gateway = gateway!(channel("/echo", async |text: Text| text));
    let app = axum::Router::new()
        .route("/", axum::routing::get(async || "axum"))
        .nest("/ws", gateway.into_router().expect("no mistakes"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    let url = format!("ws://{addr}/ws/echo");
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(url)).await.unwrap();
    use futures_util::{SinkExt, StreamExt};
    socket.send("hi".into()).await.unwrap();
    assert_eq!(
        soon(socket.next())
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap(),
        "hi"
    );
}
