//! A drain that probes learn of before anything changes.

use std::time::{Duration, Instant};

use wasabi::prelude::*;
use wasabi_tests::{TestServer, http2::Http2, serve_with, soon};

async fn delayed(delay: Duration) -> TestServer {
    let gateway = gateway!(
        get("/readyz", readiness),
        get("/page", async || "a page"),
        channel("/", async |text: Text| text),
    );
    serve_with(gateway, |server| {
        server.drain_delay(delay).http2_streams(10)
    })
    .await
}

#[tokio::test]
async fn everything_is_served_during_the_delay_while_readiness_says_no() {
    let server = delayed(Duration::from_secs(2)).await;
    let mut before = server.connect("/").await;
    let mut http2 = Http2::connect(&server).await;
    server.handle.drain();
    let start = Instant::now();
    while soon(server.get("/readyz")).await == 200 {}
    let mut during = server.connect("/").await;
    for client in [&mut before, &mut during] {
        assert_eq!(client.ask("still there?").await, "still there?");
    }
    assert_eq!(server.get("/page").await, 200);
    for _ in 0..2 {
        assert_eq!(http2.get("/page").await.status(), 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "too slow a machine"
    );
    for client in [&mut before, &mut during] {
        assert_eq!(client.closed().await.0, 1012);
    }
    server.ended().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(1900));
}

#[tokio::test]
async fn a_server_without_clients_stays_for_the_delay_too() {
    let server = delayed(Duration::from_millis(500)).await;
    let start = Instant::now();
    server.drain().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(450));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_delay() {
    let server = delayed(Duration::from_secs(60)).await;
    server.handle.drain();
    while soon(server.get("/readyz")).await == 200 {}
    server.handle.stop();
    server.ended().await.unwrap();
}
