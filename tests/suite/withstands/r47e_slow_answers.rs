//! R47e: HTTP answers whose clients read them too slowly.
//!
//! The tests in `wasabi/src/connection/transport/patient.rs` define what a slow client is.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, routing::get};
use futures_util::StreamExt;
use http::Request;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use wasabi::{Admin, gateway};
use wasabi_tests::{TestServer, serve_with, soon};

const PAGE: usize = 64 << 20;

async fn page() -> Vec<u8> {
    vec![b'x'; PAGE]
}

/// A client whose streams have room for this many bytes after each read.
async fn client(server: &TestServer, window: u32) -> SendRequest<Body> {
    let client = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(server.tcp().await));
    let (requests, connection) = soon(client).await.expect("HTTP/2");
    tokio::spawn(connection);
    requests
}

async fn ask(client: &mut SendRequest<Body>, server: &TestServer, path: &str) -> Body {
    let request = Request::get(format!("http://{}{path}", server.addr));
    let request = request.body(Body::empty()).expect("a request");
    let response = soon(client.send_request(request)).await.expect("HTTP/2");
    assert_eq!(response.status(), 200);
    Body::new(response.into_body())
}

#[tokio::test]
async fn a_stream_whose_client_takes_200_bytes_a_second_is_reset_and_others_go_on() {
    let gateway = gateway!(get("/page", page), get("/livez", async || "alive"));
    let server = serve_with(gateway, |server| {
        server
            .http2_streams(10)
            .request_timeout(Duration::from_secs(2))
    })
    .await;
    let mut client = client(&server, 100).await;
    let mut page = ask(&mut client, &server, "/page").await.into_data_stream();
    let start = Instant::now();
    let mut read = 0;
    while let Ok(data) = soon(page.next()).await.expect("not the whole page") {
        read += data.len();
        sleep(Duration::from_millis(500)).await;
    }
    assert!(read < 10_000, "{read}");
    assert!(start.elapsed() > Duration::from_millis(1900));
    let mut alive = ask(&mut client, &server, "/livez").await.into_data_stream();
    let alive = soon(alive.next()).await.expect("an answer");
    assert_eq!(alive.expect("an answer"), "alive");
}

#[tokio::test]
async fn a_stream_that_is_read_at_the_minimum_rate_is_not_reset() {
    let gateway = gateway!(get("/page", async || vec![b'x'; 20 << 10]));
    let server = serve_with(gateway, |server| {
        server
            .http2_streams(10)
            .request_timeout(Duration::from_secs(3))
    })
    .await;
    let mut client = client(&server, 1000).await;
    let mut page = ask(&mut client, &server, "/page").await.into_data_stream();
    let mut read = 0;
    while let Some(data) = soon(page.next()).await {
        let count = data.expect("not reset").len();
        read += count;
        // 4 KB per second, in frames of any length.
        sleep(Duration::from_millis(count as u64 / 4)).await;
    }
    assert_eq!(read, 20 << 10);
}

#[tokio::test]
async fn an_operator_that_reads_no_answer_is_cut_after_10_seconds() {
    let admin = Admin::bind("127.0.0.1:0").nest("/debug", Router::new().route("/page", get(page)));
    let server = serve_with(gateway!(get("/livez", async || "alive")), |server| {
        server.admin(admin)
    })
    .await;
    let addr = soon(server.handle.admin_addr()).await.expect("an address");
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    let request = b"GET /debug/page HTTP/1.1\r\nhost: admin\r\n\r\n";
    stream.write_all(request).await.expect("written");
    sleep(Duration::from_secs(12)).await;
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
    let _ = read.expect("an end");
    assert!(rest.len() < PAGE, "it got everything");
}
