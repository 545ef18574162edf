//! A client that stays while its upstream restarts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use wasabi::prelude::*;
use wasabi_tests::{Client, TestServer, serve};

use wasabi_tests::websocket_upstream::{Peer, Upstream};

async fn connected(
    change: impl FnOnce(WebSocket) -> WebSocket,
) -> (TestServer, Client, Upstream, Peer) {
    let mut upstream = Upstream::start().await;
    let backend = change(WebSocket::connect(upstream.url("/")).forward_query(["user"]));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/?user=ada").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    (server, client, upstream, peer)
}

fn quick() -> Backoff {
    Backoff::exponential(Duration::from_millis(5)).max_pause(Duration::from_millis(20))
}

#[tokio::test]
async fn a_client_stays_connected_while_its_upstream_crashes_and_its_messages_wait() {
    let (_server, mut client, upstream, peer) =
        connected(|backend| backend.reconnect(quick())).await;
    let addr = upstream.stop().await;
    peer.crash();
    for n in 0..10 {
        client.send(n.to_string()).await;
    }
    client.silent().await;
    let mut upstream = Upstream::start_at(addr).await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.uri.query(), Some("user=ada"));
    for n in 0..10 {
        assert_eq!(peer.text().await, n.to_string());
    }
    peer.send("back again").await;
    assert_eq!(client.text().await, "back again");
}

#[tokio::test]
async fn an_announced_restart_of_the_upstream_is_a_restart_too() {
    for code in [1001, 1012] {
        let (_server, mut client, mut upstream, mut peer) =
            connected(|backend| backend.reconnect(quick())).await;
        peer.send("last words").await;
        peer.close(code, "restart").await;
        assert_eq!(client.text().await, "last words");
        let mut peer = upstream.accept().await;
        client.send("still here").await;
        assert_eq!(peer.text().await, "still here");
    }
}

#[tokio::test]
async fn a_close_meant_for_the_client_is_not_a_restart() {
    let (_server, mut client, upstream, mut peer) =
        connected(|backend| backend.reconnect(quick())).await;
    peer.close(4001, "bye").await;
    assert_eq!(client.closed().await, (4001, "bye".to_owned()));
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn an_upstream_that_refuses_the_client_when_it_is_back_is_not_asked_again() {
    let (_server, mut client, upstream, peer) =
        connected(|backend| backend.reconnect(quick())).await;
    let addr = upstream.stop().await;
    peer.crash();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let refusing = axum::Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { axum::http::StatusCode::UNAUTHORIZED }
    });
    let listener = loop {
        if let Ok(listener) = tokio::net::TcpListener::bind(addr).await {
            break listener;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    tokio::spawn(async move { axum::serve(listener, refusing).await });
    let close = (1011, "upstream answered 401".to_owned());
    assert_eq!(client.closed().await, close);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn messages_wait_for_a_restart_no_longer_than_the_connect_timeout() {
    let (_server, mut client, upstream, peer) = connected(|backend| {
        let timeout = Duration::from_millis(100);
        backend.reconnect(quick()).connect_timeout(timeout)
    })
    .await;
    let addr = upstream.stop().await;
    peer.crash();
    for text in ["one", "two"] {
        let reply = client.ask(text).await;
        assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    }
    let mut upstream = Upstream::start_at(addr).await;
    let mut peer = upstream.accept().await;
    client.send("three").await;
    assert_eq!(peer.text().await, "three");
}

#[tokio::test]
async fn the_client_is_closed_with_1011_when_the_policy_gives_up() {
    let (_server, mut client, upstream, peer) =
        connected(|backend| backend.reconnect(quick().retries(2))).await;
    upstream.stop().await;
    peer.crash();
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_attempts() {
    let (server, client, upstream, peer) =
        connected(|backend| backend.reconnect(Backoff::constant(Duration::from_secs(3600)))).await;
    upstream.stop().await;
    peer.crash();
    client.close(1000, "").await;
    server.drain().await.expect("drained");
}

#[tokio::test]
async fn an_upstream_that_crashes_again_and_again_uses_the_attempts_up() {
    let (_server, mut client, mut upstream, peer) =
        connected(|backend| backend.reconnect(quick().retries(3))).await;
    peer.crash();
    for _ in 0..3 {
        upstream.accept().await.crash();
    }
    assert_eq!(client.closed().await.0, 1011);
    assert_eq!(upstream.dials(), 4);
}
