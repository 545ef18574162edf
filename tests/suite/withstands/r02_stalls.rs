//! R2: a client that stalls before it has a connection is cut, and delays no other client.
//!
//! `r24_http2_floods.rs` tests this for HTTP/2, `tls.rs` for TLS.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{TestServer, http2::Http2, raw, serve, serve_with, soon};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

/// How long the server keeps a socket open on which it receives this.
async fn open_for(server: &TestServer, sent: &str) -> Duration {
    let mut stream = server.tcp().await;
    let start = Instant::now();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    start.elapsed()
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_after_the_header_timeout_and_others_do_not_wait() {
    let server = serve_with(echo(), |server| {
        server.header_timeout(Duration::from_millis(300))
    })
    .await;
    let stalls = [
        "",
        "G",
        "GET / HTTP/1.1\r\nhost: te",
        "PRI * HTTP/2.0\r\n\r\n",
    ];
    let stalls = (0..40).map(|n| open_for(&server, stalls[n % stalls.len()]));
    let others = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let start = Instant::now();
            assert_eq!(server.connect("/").await.ask("hello").await, "hello");
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    let (open, slowest) = futures_util::future::join(join_all(stalls), others).await;
    assert!(open.iter().all(|open| open.as_millis() < 1300), "{open:?}");
    assert!(slowest.as_millis() < 1000, "{slowest:?}");
}

#[tokio::test]
async fn three_seconds_are_the_default_for_a_head() {
    let server = serve(echo()).await;
    let open = open_for(&server, "GET / HTTP/1.1\r\n").await;
    assert!((2500..4000).contains(&open.as_millis()), "{open:?}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_after_the_header_timeout() {
    let server = serve_with(echo(), |server| {
        server.header_timeout(Duration::from_millis(300))
    })
    .await;
    let mut stream = server.tcp().await;
    let (mut reader, mut writer) = stream.split();
    let start = Instant::now();
    let trickle = async {
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nx: ").await;
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        read = soon(reader.read_to_end(&mut rest)) => drop(read),
        () = trickle => {}
    }
    assert!(start.elapsed().as_millis() < 1300, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_head_over_64_kib_is_refused() {
    let server = serve(echo()).await;
    let filler = "x".repeat(100_000);
    let handshake = raw::HANDSHAKE;
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{handshake}x-filler: {filler}\r\n\r\n");
    assert_eq!(
        raw::status(&server, request.as_bytes()).await,
        "HTTP/1.1 431"
    );
}

#[tokio::test]
async fn a_head_may_have_100_lines_with_http_1_1() {
    let server = serve(echo()).await;
    // In addition to the five lines of the handshake.
    for (more, status) in [(95, "HTTP/1.1 101"), (96, "HTTP/1.1 431")] {
        let lines: String = (0..more).map(|n| format!("x-{n}: x\r\n")).collect();
        let handshake = raw::HANDSHAKE;
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{handshake}{lines}\r\n");
        let answer = raw::status(&server, request.as_bytes()).await;
        assert_eq!(answer, status, "{more} more lines");
    }
}

/// Each field counts 32 bytes in addition to its own (RFC 9113, section 10.5.1).
#[tokio::test]
async fn a_head_may_have_64_kib_with_http_2_in_fields_of_any_size() {
    let gateway = gateway!(get("/livez", async || "ok"));
    let server = serve_with(gateway, |server| server.http2_streams(10)).await;
    let mut http2 = Http2::connect(&server).await;
    for (fields, is_answered) in [(1000, true), (3000, false)] {
        let mut request = http2.request(http::Method::GET, "/livez");
        for n in 0..fields {
            let name = format!("x-{n}").parse::<http::HeaderName>().unwrap();
            request.headers_mut().insert(name, "x".parse().unwrap());
        }
        let answer = soon(http2.requests.send_request(request)).await;
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        assert_eq!(status == 200, is_answered, "{fields} fields: {status}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_after_the_request_timeout() {
    let server = serve_with(gateway!(post("/", async |body: String| body)), |server| {
        server.request_timeout(Duration::from_millis(200))
    })
    .await;
    let mut stream = server.tcp().await;
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        // The answer has arrived by now.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        read = soon(reader.read_to_string(&mut answer)) => drop(read),
        () = trickle => unreachable!(),
    }
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_cut_after_the_request_timeout() {
    let server = serve_with(
        gateway!(get("/", async || vec![b'x'; 64 << 20])),
        |server| {
            server
                .request_timeout(Duration::from_millis(300))
                .max_sockets(1)
        },
    )
    .await;
    let mut stalled = server.tcp().await;
    let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    stalled.write_all(request.as_bytes()).await.unwrap();
    // Its place is free again, although it is still connected.
    let mut next = server.tcp().await;
    next.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    soon(next.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(stalled);
}
