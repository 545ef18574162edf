//! HTTP connections that stay open between two requests.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{TestServer, http2::Http2, serve_with, soon};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Heads may take 200 ms.
async fn kept(keep_alive: Duration) -> TestServer {
    let gateway = gateway!(
        get("/", async || "hello"),
        channel("/echo", async |text: Text| text),
    );
    serve_with(gateway, |server| {
        server
            .header_timeout(Duration::from_millis(200))
            .keep_alive_timeout(keep_alive)
            .http2_streams(10)
    })
    .await
}

async fn get(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        answer.push(soon(stream.read_u8()).await.expect("an answer"));
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
    let server = kept(Duration::from_secs(60)).await;
    let mut stream = server.tcp().await;
    for _ in 0..3 {
        get(&mut stream, GET).await;
        sleep(Duration::from_millis(500)).await;
    }
    let mut http2 = Http2::connect(&server).await;
    for _ in 0..3 {
        assert_eq!(http2.get("/").await.status(), 200);
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn the_head_of_a_later_request_has_the_same_deadline() {
    let server = kept(Duration::from_secs(60)).await;
    let mut stream = server.tcp().await;
    get(&mut stream, GET).await;
    sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    stream.write_all(&GET[..10]).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 100])).await.unwrap_or(0), 0);
    assert!(start.elapsed() > Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(2), "too late");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_keep_alive_timeout() {
    let server = kept(Duration::from_millis(500)).await;
    let mut stream = server.tcp().await;
    get(&mut stream, GET).await;
    let start = Instant::now();
    assert_eq!(soon(stream.read(&mut [0; 100])).await.unwrap_or(0), 0);
    assert!(start.elapsed() > Duration::from_millis(300), "too early");
}
