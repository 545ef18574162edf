//! Messages pass through unchanged.

use tokio_tungstenite::tungstenite::Message;
use wasabi::prelude::*;
use wasabi_tests::{serve, until};

use wasabi_tests::websocket_upstream::Upstream;

#[tokio::test]
async fn text_and_binary_messages_pass_unchanged_in_both_directions() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send(r#"{"ping":"1"}"#).await;
    let mut peer = upstream.accept().await;
    let to_and_fro = [
        Message::text(r#"{"ping":"1"}"#),
        Message::text(" { \"ping\" : 1e400, \"ping\": \"\\u00e4ä\" } "),
        Message::binary(vec![0x00, 0x01, 0xff]),
        Message::text(""),
        Message::binary(Vec::new()),
        Message::binary(vec![7; 30_000]),
    ];
    for (index, message) in to_and_fro.iter().enumerate() {
        if index > 0 {
            client.send(message.clone()).await;
        }
        assert_eq!(peer.next().await, *message);
        peer.send(message.clone()).await;
        assert_eq!(client.next().await, *message);
    }
}

#[tokio::test]
async fn the_upstreams_limit_may_be_larger_than_the_channels() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        max_message_size = 1KiB,
        WebSocket::connect(upstream.url("/")).max_message_size(600KiB),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("begin").await;
    let mut peer = upstream.accept().await;
    peer.send(Message::binary(vec![1; 40_000])).await;
    assert_eq!(client.binary().await.len(), 40_000);
}

#[tokio::test]
async fn messages_right_after_the_handshake_of_the_upstream_are_not_lost() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/")).eager()));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    for n in 0..100 {
        peer.send(n.to_string()).await;
    }
    for n in 0..100 {
        assert_eq!(client.text().await, n.to_string());
    }
}

#[tokio::test]
async fn each_client_has_its_own_upstream_connection_for_each_backend() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let gateway = gateway!(channel(
        "/",
        match key {
            "text" => WebSocket::connect(first.url("/")),
            _ => WebSocket::connect(second.url("/")),
        },
    ));
    let server = serve(gateway).await;
    let (mut a, mut b) = (server.connect("/").await, server.connect("/").await);
    a.send("from a").await;
    let mut peer_of_a = first.accept().await;
    assert_eq!(peer_of_a.text().await, "from a");
    b.send("from b").await;
    let mut peer_of_b = first.accept().await;
    assert_eq!(peer_of_b.text().await, "from b");
    a.send(Message::binary(vec![1])).await;
    let mut other_of_a = second.accept().await;
    assert_eq!(other_of_a.next().await, Message::binary(vec![1]));

    peer_of_b.send("to b").await;
    assert_eq!(b.text().await, "to b");
    other_of_a.send("to a").await;
    assert_eq!(a.text().await, "to a");
    assert_eq!((first.dials(), second.dials()), (2, 1));
}

#[tokio::test]
async fn everything_is_freed_when_the_client_disconnects() {
    let mut upstream = Upstream::start().await;
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        WebSocket::connect(upstream.url("/"))
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    // A handle that is kept keeps neither the connection nor its upstream open.
    let kept = registry.connections().remove(0);
    drop(client);
    assert_eq!(peer.closed().await.0, 1001);
    until("the registry is empty", || registry.is_empty()).await;
    assert!(kept.is_closed());
    // No task is left behind for which the server's end would have to wait.
    server.drain().await.expect("drained");
}
