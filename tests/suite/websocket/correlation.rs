//! Requests whose answers are matched by id.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use wasabi::prelude::*;
use wasabi_tests::{Client, TestServer, serve, until};

use wasabi_tests::websocket_upstream::{Peer, Upstream};

async fn connected(change: impl FnOnce(WebSocket) -> WebSocket) -> (TestServer, Client, Upstream) {
    let upstream = Upstream::start().await;
    let backend = change(WebSocket::connect(upstream.url("/")).correlate("/req_id"));
    let gateway = gateway!(channel(
        "/",
        concurrency = 100,
        parser = JsonKey::at("/k").id("/req_id"),
        match key {
            "impatient" => with([Timeout::new(100ms)], backend),
            _ => NoRoute,
        },
    ));
    let server = serve(gateway).await;
    let client = server.connect("/").await;
    (server, client, upstream)
}

/// The same, without a timeout.
async fn patient() -> (TestServer, Client, Upstream) {
    let upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/")).correlate("/req_id");
    let gateway = gateway!(channel(
        "/",
        concurrency = 100,
        parser = JsonKey::at("/k").id("/req_id"),
        backend,
    ));
    let server = serve(gateway).await;
    let client = server.connect("/").await;
    (server, client, upstream)
}

async fn next(peer: &mut Peer) -> serde_json::Value {
    serde_json::from_str(&peer.text().await).expect("JSON")
}

#[tokio::test]
async fn answers_in_any_order_find_their_requests() {
    let (_server, mut client, mut upstream) = patient().await;
    for id in 0..50 {
        client
            .send(json!({"k": "ask", "req_id": id}).to_string())
            .await;
    }
    let mut peer = upstream.accept().await;
    for id in 0..50 {
        assert_eq!(next(&mut peer).await["req_id"], id);
    }
    for id in (0..50).rev() {
        peer.send(json!({"answer": id * 2, "req_id": id}).to_string())
            .await;
    }
    let mut seen = Vec::new();
    for _ in 0..50 {
        let reply = client.json().await;
        assert_eq!(
            reply["answer"],
            reply["req_id"].as_u64().expect("an id") * 2
        );
        seen.push(reply["req_id"].as_u64());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

#[tokio::test]
async fn unsolicited_messages_still_reach_the_client_also_those_with_the_id_of_an_answered_request()
{
    let (_server, mut client, mut upstream) = patient().await;
    client.send(r#"{"k":"ticks","req_id":7}"#).await;
    let mut peer = upstream.accept().await;
    peer.text().await;
    for message in [
        r#"{"news":1}"#,
        r#"{"subscribed":true,"req_id":7}"#,
        r#"{"tick":1,"req_id":7}"#,
        r#"{"tick":2,"req_id":7}"#,
        r#"{"late":1,"req_id":99}"#,
        "no JSON at all",
    ] {
        peer.send(message).await;
        assert_eq!(client.text().await, message);
    }
}

#[tokio::test]
async fn the_answer_comes_before_what_the_upstream_sent_behind_it() {
    let (_server, mut client, mut upstream) = patient().await;
    client.send(r#"{"k":"ticks","req_id":7}"#).await;
    let mut peer = upstream.accept().await;
    peer.text().await;
    let messages: Vec<_> = (0..50)
        .map(|n| json!({"n": n, "req_id": 7}).to_string())
        .collect();
    for message in &messages {
        peer.send(message.as_str()).await;
    }
    for message in &messages {
        assert_eq!(client.text().await, *message);
    }
}

#[tokio::test]
async fn a_request_without_an_id_is_forwarded_and_occupies_no_slot() {
    let (_server, mut client, mut upstream) = patient().await;
    for n in 0..200 {
        client.send(json!({"k": "fire", "n": n}).to_string()).await;
    }
    let mut peer = upstream.accept().await;
    for n in 0..200 {
        assert_eq!(next(&mut peer).await["n"], n);
    }
}

#[tokio::test]
async fn a_request_with_the_id_of_one_in_flight_is_a_bad_request() {
    let (_server, mut client, mut upstream) = patient().await;
    client.send(r#"{"k":"first","req_id":"a/b"}"#).await;
    let mut peer = upstream.accept().await;
    assert_eq!(next(&mut peer).await["k"], "first");
    client.send(r#"{"k":"second","req_id":"a\/b"}"#).await;
    let reply = client.json().await;
    assert_eq!(reply["error"]["code"], "bad_request");
    assert_eq!(reply["req_id"], "a/b");
    peer.send(r#"{"answer":1,"req_id":"a/b"}"#).await;
    assert_eq!(client.json().await["answer"], 1);
    // Now the id is free again.
    client.send(r#"{"k":"third","req_id":"a/b"}"#).await;
    assert_eq!(next(&mut peer).await["k"], "third");
}

#[tokio::test]
async fn a_late_answer_is_dropped_because_the_client_was_told_another_outcome() {
    let (_server, mut client, mut upstream) = connected(|backend| backend).await;
    client.send(r#"{"k":"impatient","req_id":1}"#).await;
    let mut peer = upstream.accept().await;
    peer.text().await;
    let reply = client.json().await;
    assert_eq!(reply["error"]["code"], "timed_out");
    assert_eq!(reply["req_id"], 1);
    peer.send(r#"{"too":"late","req_id":1}"#).await;
    peer.send(r#"{"news":1}"#).await;
    assert_eq!(client.text().await, r#"{"news":1}"#);
}

#[tokio::test]
async fn a_retry_around_a_timeout_tries_again_and_the_first_answer_wins() {
    let mut upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/")).correlate("/req_id");
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/req_id"),
        match key {
            _ => with(
                [
                    Retry::new(Backoff::exponential(1ms).retries(3)).when(|_| true),
                    Timeout::new(100ms)
                ],
                backend
            ),
        },
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send(r#"{"k":"ask","req_id":1}"#).await;
    let mut peer = upstream.accept().await;
    assert_eq!(next(&mut peer).await["req_id"], 1);
    assert_eq!(next(&mut peer).await["req_id"], 1);
    peer.send(r#"{"answer":1,"req_id":1}"#).await;
    peer.send(r#"{"answer":2,"req_id":1}"#).await;
    peer.send(r#"{"news":1}"#).await;
    assert_eq!(client.json().await["answer"], 1);
    assert_eq!(client.text().await, r#"{"news":1}"#);
}

#[tokio::test]
async fn an_upstream_that_is_lost_fails_the_requests_that_it_has_not_answered() {
    let (_server, mut client, mut upstream) = patient().await;
    for id in 0..3 {
        client
            .send(json!({"k": "ask", "req_id": id}).to_string())
            .await;
    }
    let mut peer = upstream.accept().await;
    for _ in 0..3 {
        peer.text().await;
    }
    peer.crash();
    for id in 0..3 {
        let reply = client.json().await;
        assert_eq!(reply["error"]["code"], "upstream_lost");
        assert_eq!(reply["req_id"], id);
    }
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test]
async fn a_restart_fails_what_was_sent_and_sends_what_waited() {
    let upstream = Upstream::start().await;
    let policy = Backoff::constant(Duration::from_millis(5));
    let backend = WebSocket::connect(upstream.url("/"))
        .correlate("/req_id")
        .reconnect(policy);
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/req_id"),
        backend,
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let mut upstream = upstream;
    client.send(r#"{"k":"sent","req_id":1}"#).await;
    let mut peer = upstream.accept().await;
    peer.text().await;
    let addr = upstream.stop().await;
    peer.crash();
    let reply = client.json().await;
    assert_eq!(reply["error"]["code"], "upstream_lost");
    client.send(r#"{"k":"waits","req_id":2}"#).await;
    let mut upstream = Upstream::start_at(addr).await;
    let mut peer = upstream.accept().await;
    assert_eq!(next(&mut peer).await["k"], "waits");
    peer.send(r#"{"answer":2,"req_id":2}"#).await;
    assert_eq!(client.json().await["answer"], 2);
}

#[tokio::test]
async fn a_drain_delivers_the_answers_of_requests_in_flight_before_1012() {
    let mut upstream = Upstream::start().await;
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        WebSocket::connect(upstream.url("/")).correlate("/req_id"),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for id in 0..3 {
        client
            .send(json!({"k": "ask", "req_id": id}).to_string())
            .await;
    }
    let mut peer = upstream.accept().await;
    for _ in 0..3 {
        peer.text().await;
    }
    server.handle.drain();
    until("the connection is being closed", || {
        registry.connections().iter().all(Connection::is_closed)
    })
    .await;
    for id in 0..3 {
        peer.send(json!({"answer": id, "req_id": id}).to_string())
            .await;
    }
    for id in 0..3 {
        assert_eq!(client.json().await["answer"], id);
    }
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(peer.closed().await.0, 1012);
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn middleware_sees_the_answer_and_how_long_it_took() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    upstream.echo();
    let answered = Arc::new(AtomicUsize::new(0));

    #[middleware]
    async fn count(answered: Arc<AtomicUsize>, req: Request, next: impl Next) -> Result<Reply> {
        let reply = next.run(req).await?;
        answered.fetch_add(reply.as_messages().len(), Ordering::SeqCst);
        Ok(reply)
    }

    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/req_id"),
        middleware = [count(answered.clone())],
        WebSocket::connect(url).correlate("/req_id"),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for id in 0..10 {
        let request = json!({"k": "ask", "req_id": id});
        assert_eq!(client.ask_json(request.clone()).await, request);
    }
    assert_eq!(answered.load(Ordering::SeqCst), 10);
}
