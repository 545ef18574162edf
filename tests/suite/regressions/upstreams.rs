//! Upstreams that were trusted too much, or whose messages did not arrive.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::any};
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use wasabi::{StatusCode, prelude::*};
use wasabi_tests::{http_service, serve};

use wasabi_tests::websocket_upstream::Upstream;

#[tokio::test]
async fn a_500_of_an_upstream_is_an_error_without_its_body() {
    let service = async || (StatusCode::INTERNAL_SERVER_ERROR, "secret stack trace");
    let url = http_service(Router::new().fallback(service)).await;
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let reply = server.connect("/").await.ask("x").await;
    assert_eq!(reply, "upstream_status: upstream answered 500");
}

#[tokio::test]
async fn an_upstreams_body_over_the_limit_is_an_error_with_and_without_announced_length() {
    let endless = || {
        let chunks = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1000])));
        // Slower than reading, and without an end: only a limit while reading ends this.
        Body::from_stream(chunks.then(|chunk| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            chunk
        }))
    };
    let service = Router::new()
        .route("/announced", any(async || "x".repeat(5001)))
        .route("/endless", any(async move || endless()))
        .route("/just", any(async || "x".repeat(5000)))
        .route(
            "/chunks",
            any(async move || {
                let chunks = (0..5).map(|_| Ok::<_, Infallible>(vec![b'x'; 1000]));
                (
                    [(CONTENT_TYPE, "text/plain")],
                    Body::from_stream(stream::iter(chunks)),
                )
            }),
        );
    let url = http_service(service).await;
    for (path, fits) in [
        ("announced", false),
        ("endless", false),
        ("just", true),
        ("chunks", true),
    ] {
        let backend = Http::post(format!("{url}/{path}")).max_reply_size(5000);
        let server = serve(gateway!(channel("/", backend))).await;
        let reply = server.connect("/").await.ask("x").await;
        if fits {
            assert_eq!(reply, "x".repeat(5000), "{path}");
        } else {
            assert_eq!(
                reply, "upstream_invalid: upstream sent an invalid answer",
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_binary_answer_over_http_is_a_binary_message() {
    let service = async || ([(CONTENT_TYPE, "image/png")], &b"\x89PNG\r\n\0"[..]);
    let url = http_service(Router::new().fallback(service)).await;
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let mut client = server.connect("/").await;
    client.send("picture").await;
    assert_eq!(client.binary().await, b"\x89PNG\r\n\0");
}

#[tokio::test]
async fn an_upstream_crash_is_1011_for_the_client() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let peer = upstream.accept().await;
    peer.crash();
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test]
async fn an_upstreams_message_of_more_than_32_kib_arrives() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    client.send("begin").await;
    let mut peer = upstream.accept().await;
    let large = "x".repeat(1024 * 1024);
    peer.send(large.as_str()).await;
    assert!(client.text().await == large, "it is another text");
}
