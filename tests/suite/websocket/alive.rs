//! Detection of an upstream that disappears silently.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::prelude::*;
use wasabi_tests::{serve, soon, websocket_upstream::Upstream};

const SHORT: Duration = Duration::from_millis(100);

/// The test does not poll the upstream's end: it takes what is sent and does not answer, as if the wire were cut.
fn impatient(upstream: &Upstream) -> WebSocket {
    WebSocket::connect(upstream.url("/"))
        .ping(SHORT)
        .pong_timeout(5 * SHORT)
}

#[tokio::test]
async fn an_upstream_that_answers_no_ping_is_lost_and_its_client_is_closed() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel("/", impatient(&upstream)))).await;
    let mut client = server.connect("/").await;
    client.send("into the void").await;
    let _dead = upstream.accept().await;
    let close = (1011, "upstream was lost".to_owned());
    assert_eq!(client.closed().await, close);
}

#[tokio::test]
async fn a_silent_upstream_is_connected_to_again_and_its_requests_have_an_outcome() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        impatient(&upstream)
            .correlate("/id")
            .reconnect(Backoff::constant(Duration::from_millis(5))),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let asking = client.ask_json(json!({"k": "x", "id": 1}));
    let (reply, _dead) = tokio::join!(asking, upstream.accept());
    assert_eq!(reply["error"]["code"], "upstream_lost");
    let mut peer = upstream.accept().await;
    let asking = client.ask_json(json!({"k": "x", "id": 2}));
    let (reply, ()) = tokio::join!(asking, async {
        let request = peer.text().await;
        peer.send(request).await;
    });
    assert_eq!(reply, json!({"k": "x", "id": 2}));
}

#[tokio::test]
async fn an_upstream_that_only_answers_pings_stays_connected() {
    let mut upstream = Upstream::start().await;
    let backend = impatient(&upstream)
        .pong_timeout(Duration::from_secs(60))
        .eager();
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    for _ in 0..5 {
        let ping = soon(peer.socket.next()).await;
        assert!(matches!(ping, Some(Ok(WsMessage::Ping(_)))), "{ping:?}");
    }
    peer.send("still here").await;
    assert_eq!(client.text().await, "still here");
}

#[tokio::test]
async fn an_upstream_that_sends_or_is_not_read_is_not_closed_for_missing_pongs() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel("/", impatient(&upstream).eager()))).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    // It does not look for pings while it sends.
    let sending = tokio::spawn(async move {
        for n in 0..400_u32 {
            let mut message = vec![0; 64 * 1024];
            message[..4].copy_from_slice(&n.to_be_bytes());
            peer.send(message).await;
        }
        peer
    });
    tokio::time::sleep(8 * SHORT).await; // the client takes nothing in the meantime
    for n in 0..400_u32 {
        match client.next().await {
            WsMessage::Binary(message) => assert_eq!(message[..4], n.to_be_bytes()),
            other => panic!("expected a message, got {other:?}"),
        }
    }
    let mut peer = sending.await.expect("the upstream");
    peer.send("done").await;
    assert_eq!(client.text().await, "done");
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_pinged_may_be_silent() {
    let mut upstream = Upstream::start().await;
    let backend = impatient(&upstream).ping(None).eager();
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    tokio::time::sleep(4 * SHORT).await;
    client.send("good morning").await;
    assert_eq!(peer.text().await, "good morning", "and not a ping");
}

#[tokio::test]
async fn a_ping_without_pause_and_a_pong_without_time_are_mistakes() {
    for (backend, setting) in [
        (WebSocket::connect("ws://up/").ping(Duration::ZERO), "ping"),
        (
            WebSocket::connect("ws://up/").pong_timeout(Duration::ZERO),
            "pong_timeout",
        ),
    ] {
        let mistakes = gateway!(channel("/", backend)).check().expect_err(setting);
        assert!(mistakes[0].to_string().contains(setting), "{mistakes:?}");
    }
}

/// Without pings the system detects an upstream that disappears silently.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_probes_upstreams_that_are_silent() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel("/", impatient(&upstream).eager()))).await;
    let _client = server.connect("/").await;
    let _peer = upstream.accept().await;
    wasabi_tests::tcp::assert_probed(upstream.addr);
}
