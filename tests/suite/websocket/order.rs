//! Order and back-pressure.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use wasabi::prelude::*;
use wasabi_tests::{serve, soon, until};

use wasabi_tests::websocket_upstream::Upstream;

const MANY: u32 = 100_000;

#[tokio::test]
async fn a_hundred_thousand_messages_pass_in_order_both_ways_at_once() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    let echo = upstream.echo();
    let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
    let client = server.connect("/").await;
    let (mut send, mut receive) = client.socket.split();
    let sending = async {
        for n in 0..MANY {
            send.feed(Message::text(n.to_string())).await.expect("send");
        }
        send.flush().await.expect("flush");
    };
    let receiving = async {
        for n in 0..MANY {
            let message = receive.next().await.expect("open").expect("a message");
            assert_eq!(message, Message::text(n.to_string()));
        }
    };
    let both = async { tokio::join!(sending, receiving) };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("in time");
    echo.abort();
}

/// More than all socket buffers on the way hold.
const FLOOD: usize = 64 * 1024 * 1024;
const PIECE: usize = 16 * 1024;

#[tokio::test]
async fn the_client_is_not_read_while_the_upstream_takes_nothing() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("begin").await;
    let mut peer = upstream.accept().await;
    let mut sent = 0_usize;
    // The other end does not read, so this comes to a standstill.
    while sent < FLOOD / PIECE {
        let message = Message::binary(vec![sent as u8; PIECE]);
        let sending = client.socket.send(message);
        match tokio::time::timeout(Duration::from_millis(300), sending).await {
            Ok(result) => result.expect("send"),
            Err(_) => break,
        }
        sent += 1;
    }
    assert!(sent < FLOOD / PIECE, "the flood was swallowed");
    assert_eq!(peer.text().await, "begin");
    for n in 0..sent {
        assert_eq!(peer.next().await.into_data()[0], n as u8, "message {n}");
    }
}

#[tokio::test]
async fn the_upstream_is_not_read_while_the_client_takes_nothing() {
    let mut upstream = Upstream::start().await;
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        WebSocket::connect(upstream.url("/"))
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("begin").await;
    let mut peer = upstream.accept().await;
    let mut sent = 0_usize;
    while sent < FLOOD / PIECE {
        let message = Message::binary(vec![sent as u8; PIECE]);
        let sending = peer.socket.send(message);
        match tokio::time::timeout(Duration::from_millis(300), sending).await {
            Ok(result) => result.expect("send"),
            Err(_) => break,
        }
        sent += 1;
    }
    assert!(sent < FLOOD / PIECE, "the flood was swallowed");
    for n in 0..sent {
        assert_eq!(client.binary().await[0], n as u8, "message {n}");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_with_1008_and_the_upstream_learns_of_it() {
    let mut upstream = Upstream::start().await;
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        send_timeout = 200ms,
        registry = registry.clone(),
        WebSocket::connect(upstream.url("/")),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("begin").await;
    let mut peer = upstream.accept().await;
    let flood = async {
        loop {
            let message = Message::binary(vec![0; PIECE]);
            if peer.socket.send(message).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), flood).await;
    until("the client is closed", || registry.is_empty()).await;
    assert_eq!(peer.closed().await.0, 1008);
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_for_the_send_timeout_is_lost() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(upstream.url("/")).send_timeout(200ms)
    ));
    let server = serve(gateway).await;
    let client = server.connect("/").await;
    let (mut send, mut receive) = client.socket.split();
    send.send(Message::text("begin")).await.expect("send");
    let _peer = upstream.accept().await;
    let flood =
        tokio::spawn(
            async move { while send.send(Message::binary(vec![0; PIECE])).await.is_ok() {} },
        );
    let close = loop {
        match soon(receive.next()).await {
            Some(Ok(Message::Close(Some(close)))) => break close,
            Some(Ok(Message::Text(text))) => {
                let code = text.split(':').next().unwrap_or_default();
                assert!(
                    ["upstream_unreachable", "closing"].contains(&code),
                    "{text}"
                );
            }
            other => panic!("expected a close, got {other:?}"),
        }
    };
    assert_eq!(u16::from(close.code), 1011);
    flood.abort();
}
