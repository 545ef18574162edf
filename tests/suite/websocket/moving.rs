//! Upstream connections that are replaced from time to time, so that the gateway follows an upstream that moves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use wasabi::prelude::*;
use wasabi_tests::{serve, websocket_upstream::Upstream};

/// Answers each request with its id and this name, after a delay.
fn answer(mut upstream: Upstream, name: &'static str) -> SocketAddr {
    let addr = upstream.addr;
    tokio::spawn(async move {
        loop {
            let mut peer = upstream.accept().await;
            tokio::spawn(async move {
                while let Some(Ok(message)) = peer.socket.next().await {
                    let Ok(text) = message.to_text() else { break };
                    let Ok(mut reply) = serde_json::from_str::<Value>(text) else {
                        continue; // a close: the library answers it
                    };
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    reply["by"] = json!(name);
                    if peer.socket.send(reply.to_string().into()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

/// Connects to the address that the upstream has moved to.
fn moving(addrs: Vec<SocketAddr>, now: &Arc<AtomicUsize>) -> WebSocket {
    let now = Arc::clone(now);
    WebSocket::connect("ws://feed.test/")
        .resolve_with(move |_, _| std::future::ready(Ok(vec![addrs[now.load(Ordering::SeqCst)]])))
        .reconnect(Backoff::constant(Duration::from_secs(3600)))
}

#[tokio::test]
async fn an_upstream_that_moves_is_followed_under_traffic_and_no_request_is_lost() {
    let addrs = vec![
        answer(Upstream::start().await, "old"),
        answer(Upstream::start().await, "new"),
    ];
    let now = Arc::new(AtomicUsize::new(0));
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        moving(addrs, &now)
            .correlate("/id")
            .max_connection_age(600ms),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for id in 0.. {
        let reply = client.ask_json(json!({"k": "x", "id": id})).await;
        assert!(reply.get("error").is_none(), "{reply}");
        match reply["by"].as_str() {
            Some("old") => now.store(1, Ordering::SeqCst),
            Some("new") => break,
            _ => panic!("{reply}"),
        }
        assert!(id < 200, "the old one has been used for seconds");
    }
}

#[tokio::test]
async fn messages_wait_while_the_connection_is_replaced_and_go_on_in_order() {
    let (mut old, mut new) = (Upstream::start().await, Upstream::start().await);
    let now = Arc::new(AtomicUsize::new(0));
    let backend =
        moving(vec![old.addr, new.addr], &now).max_connection_age(Duration::from_millis(100));
    let server = serve(gateway!(channel("/", backend.eager()))).await;
    let mut client = server.connect("/").await;
    let mut peer = old.accept().await;
    now.store(1, Ordering::SeqCst);
    peer.send("last words").await;
    assert_eq!(client.text().await, "last words");
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The close frame has arrived and is not answered yet: what the client says goes to the next connection.
    for n in 0..10 {
        client.send(n.to_string()).await;
    }
    client.silent().await;
    assert_eq!(
        peer.closed().await,
        (1001, "the connection reached its maximum age".to_owned())
    );
    drop(peer);
    let mut peer = new.accept().await;
    for n in 0..10 {
        assert_eq!(peer.text().await, n.to_string());
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_does_not_keep_the_old_connection() {
    let mut upstream = Upstream::start().await;
    let now = Arc::new(AtomicUsize::new(0));
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        moving(vec![upstream.addr], &now)
            .correlate("/id")
            .max_connection_age(200ms),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let asking = client.ask_json(json!({"k": "x", "id": 1}));
    let (reply, _) = tokio::join!(asking, async {
        let mut peer = upstream.accept().await;
        peer.text().await;
        peer.closed().await
    });
    assert_eq!(reply["error"]["code"], "upstream_lost");
    upstream.accept().await;
}

#[test]
fn a_maximum_age_without_reconnect_is_a_mistake() {
    let second = Duration::from_secs(1);
    for (backend, expected) in [
        (
            WebSocket::connect("ws://up/").max_connection_age(second),
            "needs `reconnect`",
        ),
        (
            WebSocket::connect("ws://up/")
                .max_connection_age(Duration::ZERO)
                .reconnect(Backoff::constant(second)),
            "zero makes no sense",
        ),
    ] {
        let mistakes = gateway!(channel("/", backend)).check().expect_err(expected);
        assert!(mistakes[0].to_string().contains(expected), "{mistakes:?}");
    }
}
