//! R32: an upstream that refuses every connection is dialled only now and then, and clients cannot fill a disk with
//! logs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tracing::Level;
use wasabi::{Error, prelude::*};
use wasabi_tests::{Client, log::Log, serve};

/// A server that does this with each of its connections; returns its address and the number of connections.
async fn upstream<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dials);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    (addr, dials)
}

async fn refuse(mut stream: TcpStream) {
    let mut head = [0; 1024];
    let _ = stream.read(&mut head).await;
    let refusal =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(refusal).await;
}

/// Sends messages one after the other for this long; returns how many were answered.
async fn flood(client: &mut Client, time: Duration, answer: &str) -> usize {
    let end = tokio::time::Instant::now() + time;
    let mut answered = 0;
    while tokio::time::Instant::now() < end {
        assert_eq!(client.ask("x").await, answer);
        answered += 1;
    }
    answered
}

const UNREACHABLE: &str = "upstream_unreachable: upstream cannot be reached";

#[tokio::test]
async fn a_websocket_upstream_that_cannot_be_reached_is_dialled_for_all_clients_together() {
    // It ends every connection before TLS is established.
    let (addr, dials) = upstream(async |stream| drop(stream)).await;
    let url = format!("wss://localhost:{}/", addr.port());
    let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(server.connect("/").await);
    }
    let floods = clients
        .iter_mut()
        .map(|client| flood(client, Duration::from_secs(1), UNREACHABLE));
    let answered: usize = futures_util::future::join_all(floods).await.iter().sum();
    let dials = dials.load(Ordering::SeqCst);
    assert!(answered > 100, "{answered} messages are answered at once");
    assert!(dials <= 8 + 10, "{dials} dials for {answered} messages");
}

#[tokio::test]
async fn an_upstream_that_refuses_a_client_is_asked_by_it_now_and_then_and_by_others_at_once() {
    let (addr, dials) = upstream(refuse).await;
    let url = format!("ws://{addr}/");
    let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
    let mut client = server.connect("/").await;
    let answer = "upstream_status: upstream answered 503";
    let answered = flood(&mut client, Duration::from_secs(1), answer).await;
    let asked = dials.load(Ordering::SeqCst);
    assert!(answered > 100, "{answered} messages are answered at once");
    assert!(asked <= 10, "{asked} handshakes for {answered} messages");
    // The verdict concerned only the first client.
    let mut other = server.connect("/").await;
    assert_eq!(other.ask("x").await, answer);
    assert_eq!(dials.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn an_http_service_that_cannot_be_reached_is_dialled_for_all_clients_together() {
    let (addr, dials) = upstream(async |stream| drop(stream)).await;
    let url = format!("https://localhost:{}/", addr.port());
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let mut clients = [server.connect("/").await, server.connect("/").await];
    let floods = clients
        .iter_mut()
        .map(|client| flood(client, Duration::from_secs(1), UNREACHABLE));
    let answered: usize = futures_util::future::join_all(floods).await.iter().sum();
    let dials = dials.load(Ordering::SeqCst);
    assert!(answered > 100, "{answered} messages are answered at once");
    assert!(dials <= 2 + 10, "{dials} dials for {answered} messages");
}

#[tokio::test]
async fn warnings_that_a_client_causes_are_limited_and_those_left_out_are_counted() {
    let log = Log::of(Level::WARN);
    let (addr, _) = upstream(refuse).await;
    let url = format!("ws://{addr}/");
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        match key {
            "panics" => async || -> String { panic!("on purpose") },
            "internal" => async || Err::<String, _>(Error::internal("a bug")),
            _ => WebSocket::connect(url).max_dial_pause(Duration::ZERO),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for what in ["panics", "internal", "refused"] {
        let before = log.lines("request failed").len();
        for _ in 0..300 {
            client.ask_json(json!({"do": what})).await;
        }
        let lines = log.lines("request failed").len() - before;
        assert!((1..=40).contains(&lines), "{lines} lines for {what}");
    }
    // The next line says how many lines were left out before it.
    while log.lines("left_out=").is_empty() {
        client.ask_json(json!({"do": "internal"})).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(log.text().len() < 64 * 1024, "{} bytes", log.text().len());
}
