//! R30: the bytes that wait for a client that reads nothing are limited, and so are those that wait for all clients.
//! `memory.rs` measures the cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_tungstenite::{accept_async, tungstenite::Message as WsMessage};
use wasabi::prelude::*;
use wasabi_tests::{Client, Gate, http_service, serve, serve_with, soon, until};

const MIB: usize = 1 << 20;

/// An HTTP service that answers with this many bytes of text.
async fn service(bytes: usize) -> String {
    let body = bytes::Bytes::from(vec![b'x'; bytes]);
    let router = Router::new().route("/", post(async move || body.clone()));
    format!("{}/", http_service(router).await)
}

async fn bytes(client: &mut Client) -> usize {
    match soon(client.socket.next()).await {
        Some(Ok(message)) => message.len(),
        other => panic!("expected a message, got {other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_reads_late_gets_every_reply_of_an_http_service() {
    let backend = Http::post(service(MIB).await);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    for _ in 0..60 {
        client.send("x").await;
    }
    sleep(Duration::from_millis(300)).await;
    for _ in 0..60 {
        assert_eq!(bytes(&mut client).await, MIB);
    }
}

#[tokio::test]
async fn a_reply_that_waited_too_long_for_its_client_does_not_count_as_a_failure() {
    let gate = Gate::closed();
    let held = gate.clone();
    let answer = post(async move || {
        held.pass().await;
        vec![b'x'; 4 * MIB]
    });
    let service = http_service(Router::new().route("/", answer)).await;
    let backend = Http::post(format!("{service}/"))
        .max_reply_size(4 * MIB)
        .timeout(Duration::from_secs(3));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    for _ in 0..20 {
        client.send("x").await;
    }
    // What is not read before the first answer is not read until the client takes that answer.
    until("all are at the service", || gate.running() == 20).await;
    gate.open.add_permits(20);
    sleep(Duration::from_millis(3500)).await;
    let (mut replies, mut refused) = (0, 0);
    for _ in 0..20 {
        match soon(client.socket.next()).await {
            Some(Ok(WsMessage::Binary(data))) if data.len() == 4 * MIB => replies += 1,
            Some(Ok(WsMessage::Text(text))) if text.starts_with("overloaded: ") => refused += 1,
            Some(Ok(WsMessage::Text(text))) => panic!("{text}"),
            other => panic!("expected a message, got {other:?}"),
        }
    }
    assert!(replies > 0 && refused > 0, "{replies} and {refused}");
}

#[tokio::test]
async fn over_the_budget_of_the_server_only_clients_that_read_nothing_are_refused() {
    let gate = Gate::closed();
    let held = gate.clone();
    let router = Router::new().route(
        "/",
        post(async move || {
            held.pass().await;
            "x".repeat(MIB)
        }),
    );
    let backend = Http::post(format!("{}/", http_service(router).await));
    fn whole(message: &Message) -> Result<Option<Envelope<'_>>> {
        Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
    }
    let gateway = gateway!(channel(
        "/",
        parser = whole,
        max_waiting_bytes = 64MiB,
        match key {
            "flood" => async || vec![0_u8; 16 << 20],
            _ => backend,
        },
    ));
    let server = serve_with(gateway, |server| server.max_waiting_bytes(2 * MIB)).await;
    let mut stuck = server.connect("/").await;
    stuck.send("ask").await;
    until("its request is at the service", || gate.running() == 1).await;
    stuck.send("flood").await;
    sleep(Duration::from_millis(200)).await;
    gate.open.add_permits(2);
    let mut other = server.connect("/").await;
    other.send("ask").await;
    assert_eq!(bytes(&mut other).await, MIB);
    assert_eq!(bytes(&mut stuck).await, 16 * MIB);
    let refused = stuck.text().await;
    assert!(refused.starts_with("overloaded: "), "{refused}");
}

#[tokio::test]
async fn an_upstream_that_answers_is_not_read_while_its_client_takes_nothing() {
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut upstream = accept_async(stream).await.unwrap();
        let mut asked = Vec::new();
        while asked.len() < 100 {
            asked.extend(upstream.next().await.unwrap().unwrap().into_text());
        }
        for text in asked {
            let rest = text.strip_suffix('}').unwrap_or_default();
            let answer = format!(r#"{rest},"data":"{}"}}"#, "x".repeat(MIB));
            upstream.send(answer.into()).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
        upstream.next().await
    });
    let backend = WebSocket::connect(url)
        .correlate("/id")
        .max_message_size(2 * MIB);
    let server = serve(gateway!(channel(
        "/",
        concurrency = 100,
        parser = JsonKey::at("/k").id("/id"),
        backend,
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 0..100 {
        client.send(format!(r#"{{"k":"ask","id":{id}}}"#)).await;
    }
    let mut taken = 0;
    loop {
        sleep(Duration::from_millis(700)).await;
        let now = answers.load(Ordering::SeqCst);
        if now == std::mem::replace(&mut taken, now) && now > 0 {
            break;
        }
    }
    // Most of them are in socket buffers.
    assert!(taken < 50, "{taken} MiB were read");
    for _ in 0..100 {
        assert!(bytes(&mut client).await > MIB);
    }
    let more = timeout(Duration::from_millis(50), client.socket.next()).await;
    assert!(more.is_err(), "{more:?}");
}
