//! How the end of one side becomes the end of the other.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Close, Intercept, prelude::*};
use wasabi_tests::{Client, TestServer, serve, until};

use wasabi_tests::websocket_upstream::{Peer, Upstream};

async fn connected() -> (TestServer, Client, Peer) {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    (server, client, peer)
}

#[tokio::test]
async fn an_upstream_that_closes_with_4001_bye_closes_the_client_with_4001_bye() {
    let (_server, mut client, mut peer) = connected().await;
    peer.send("last words").await;
    peer.close(4001, "bye").await;
    assert_eq!(client.text().await, "last words");
    assert_eq!(client.closed().await, (4001, "bye".to_owned()));
    // The closing handshake is complete: the answer has arrived.
    assert_eq!(peer.closed().await.0, 4001);
}

#[tokio::test]
async fn a_client_that_closes_with_4002_bye_closes_the_upstream_with_4002_bye() {
    let (_server, mut client, mut peer) = connected().await;
    client.send("last words").await;
    client.close(4002, "bye").await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.closed().await, (4002, "bye".to_owned()));
}

#[tokio::test]
async fn a_close_of_a_client_without_code_closes_the_upstream_without_code() {
    let (_server, mut client, mut peer) = connected().await;
    client.socket.close(None).await.expect("close");
    assert_eq!(peer.closed().await, (1005, String::new()));
}

#[tokio::test]
async fn a_client_that_is_lost_closes_the_upstream_with_1001() {
    let (_server, client, mut peer) = connected().await;
    drop(client);
    assert_eq!(peer.closed().await.0, 1001);
}

#[tokio::test]
async fn an_upstream_that_closes_with_1000_closes_the_client_with_1000() {
    let (_server, mut client, mut peer) = connected().await;
    peer.close(1000, "").await;
    assert_eq!(client.closed().await.0, 1000);
}

#[tokio::test]
async fn an_upstream_reset_is_1011_for_the_client() {
    let (_server, mut client, peer) = connected().await;
    peer.reset();
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test]
async fn an_upstreams_close_without_code_is_1011_for_the_client() {
    let (_server, mut client, mut peer) = connected().await;
    peer.socket.close(None).await.expect("close");
    assert_eq!(client.closed().await.0, 1011);
}

/// The code blames the gateway, which is the upstream's client.
#[tokio::test]
async fn an_upstreams_close_with_1002_is_1011_for_the_client() {
    let (_server, mut client, mut peer) = connected().await;
    peer.close(1002, "you broke a rule").await;
    assert_eq!(
        client.closed().await,
        (1011, "upstream was lost".to_owned())
    );
}

#[tokio::test]
async fn an_upstreams_protocol_error_is_1011_for_the_client_and_1002_for_the_upstream() {
    for frame in [&[0xC1, 0x00][..], &[0x83, 0x00], &[0x81, 0x80, 0, 0, 0, 0]] {
        let (_server, mut client, mut peer) = connected().await;
        peer.socket.get_mut().write_all(frame).await.expect("write");
        assert_eq!(client.closed().await.0, 1011, "{frame:?}");
        assert_eq!(peer.closed().await.0, 1002, "{frame:?}");
    }
}

#[tokio::test]
async fn upstream_text_that_is_not_utf_8_is_1011_and_never_sent_as_text() {
    let (_server, mut client, mut peer) = connected().await;
    let stream = peer.socket.get_mut();
    stream.write_all(&[0x81, 0x01, 0xff]).await.expect("write");
    assert_eq!(client.closed().await.0, 1011);
    assert_eq!(peer.closed().await.0, 1007);
}

#[tokio::test]
async fn an_upstream_message_over_the_limit_is_1011_for_the_client_and_1009_for_the_upstream() {
    let (_server, mut client, mut peer) = connected().await;
    peer.send(WsMessage::binary(vec![0; 1024 * 1024 + 1])).await;
    assert_eq!(client.closed().await.0, 1011);
    assert_eq!(peer.closed().await.0, 1009);
}

#[tokio::test]
async fn a_close_code_that_may_not_be_sent_is_1011_for_the_client() {
    for code in [1004_u16, 1005, 1006, 1015, 999, 2000, 5000] {
        let (_server, mut client, mut peer) = connected().await;
        let [high, low] = code.to_be_bytes();
        let frame = [0x88, 0x02, high, low];
        peer.socket
            .get_mut()
            .write_all(&frame)
            .await
            .expect("write");
        assert_eq!(client.closed().await.0, 1011, "{code}");
    }
}

#[tokio::test]
async fn a_drain_closes_client_and_upstream_with_1012() {
    let (server, mut client, mut peer) = connected().await;
    server.handle.drain();
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(peer.closed().await.0, 1012);
    server.ended().await.expect("drained");
}

/// More than the system buffers for a socket.
const MANY: usize = 200;

fn large(number: usize) -> String {
    format!("{number:>65000}")
}

#[tokio::test]
async fn what_a_client_has_sent_before_a_drain_reaches_an_upstream_that_reads_it_later() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        max_message_size = 64KiB,
        concurrency = 256,
        WebSocket::connect(upstream.url("/")),
    )))
    .await;
    let mut client = server.connect("/").await;
    for number in 0..MANY {
        client.send(large(number)).await;
    }
    client.send(WsMessage::Ping("read?".into())).await;
    assert!(matches!(client.next().await, WsMessage::Pong(_)));
    let mut peer = upstream.accept().await;
    server.handle.drain();
    for number in 0..MANY {
        assert_eq!(peer.text().await, large(number));
    }
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(peer.closed().await.0, 1012);
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn what_an_upstream_has_sent_before_a_drain_reaches_a_client_that_reads_it_later() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        max_waiting_bytes = 16MiB,
        WebSocket::connect(upstream.url("/")).eager(),
    )))
    .await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    for number in 0..MANY {
        peer.send(large(number)).await;
    }
    peer.send(WsMessage::Ping("read?".into())).await;
    assert!(matches!(peer.next().await, WsMessage::Pong(_)));
    server.handle.drain();
    for number in 0..MANY {
        assert_eq!(client.text().await, large(number));
    }
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(peer.closed().await.0, 1012);
    server.ended().await.expect("drained");
}

/// Keeps a connection open whose upstream closes with 4001, and counts how often it was asked.
struct Keeps(Arc<AtomicUsize>);

impl Intercept for Keeps {
    fn close(&self, close: Close) -> Option<Close> {
        self.0.fetch_add(1, Ordering::SeqCst);
        (close.code.as_u16() != 4001).then_some(close)
    }
}

#[middleware]
async fn keep(asked: Arc<AtomicUsize>, req: Request, next: impl Next) -> Result<Reply> {
    let connection = req.connection().intercept(Keeps(asked));
    next.run(req.with_connection(connection)).await
}

#[tokio::test]
async fn interceptors_are_asked_once_how_an_upstreams_end_closes_the_client_and_never_when_it_leaves()
 {
    let mut upstream = Upstream::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        middleware = [keep(asked.clone())],
        WebSocket::connect(upstream.url("/")),
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    peer.close(4001, "bye").await;
    assert_eq!(peer.closed().await.0, 4001);
    drop(peer);
    client.silent().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let mut other = server.connect("/").await;
    other.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    other.close(1000, "").await;
    assert_eq!(peer.closed().await.0, 1000);
    drop(peer);
    until("it has left", || registry.len() == 1).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
