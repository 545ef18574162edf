//! R10: a limit is exact, and every place is returned. See also `regressions/connections.rs`, for many connections at
//! once, and `r15_panics.rs`.

use std::time::Duration;

use axum::{extract::Request, middleware::Next};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use wasabi::prelude::*;
use wasabi_tests::{Gate, raw, serve, soon, until};

#[tokio::test]
async fn clients_that_leave_in_the_middle_of_their_handshake_keep_no_place() {
    let server = serve(gateway!(channel(
        "/",
        max_connections = 10,
        async |message: Message| message,
    )))
    .await;
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", raw::HANDSHAKE);
    for round in 0..100 {
        let stream = server.tcp().await;
        // Some are reset before their answer can be written.
        stream.set_zero_linger().unwrap();
        let (_, mut writer) = stream.into_split();
        writer.write_all(request.as_bytes()).await.unwrap();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all = async {
        loop {
            let attempts = (0..10).map(|_| server.connect_with("/", &[]));
            let outcomes = join_all(attempts).await;
            if outcomes.iter().all(Result::is_ok) {
                break;
            }
        }
    };
    soon(all).await;
}

#[tokio::test]
async fn a_full_channel_answers_503_until_a_place_is_free() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/echo",
        max_connections = 1,
        registry = registry.clone(),
        async |message: Message| message,
    )))
    .await;
    let client = server.connect("/echo").await;
    let refused = server.connect_with("/echo", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    client.close(1000, "").await;
    until("the place is free", || registry.is_empty()).await;
    server.connect("/echo").await;
}

#[tokio::test]
async fn an_accepted_handshake_that_is_never_answered_gives_its_place_back() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    // A layer around the channel holds the answer back.
    let keeps = axum::middleware::from_fn(move |req: Request, next: Next| {
        let (gate, kept) = (waiting.clone(), req.headers().contains_key("keep"));
        async move {
            let response = next.run(req).await;
            if kept {
                gate.pass().await;
            }
            response
        }
    });
    let server = serve(gateway!(
        http = [keeps],
        channel("/", max_connections = 1, async |message: Message| message),
    ))
    .await;
    let mut kept = server.tcp().await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: test\r\nkeep: 1\r\n{}\r\n",
        raw::HANDSHAKE
    );
    kept.write_all(request.as_bytes()).await.unwrap();
    until("the answer is kept", || gate.running() == 1).await;
    let refused = server.connect_with("/", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 503);

    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(11)).await;
    tokio::time::resume();
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("hello").await, "hello");
}
