//! The first head on a socket, however it comes, and what follows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::get,
};
use http::{StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{
    Gate, TestServer,
    raw::{self, HANDSHAKE},
    serve, serve_with, soon, until,
};

fn echo() -> Gateway {
    gateway!(channel("/echo", async |message: Message| message))
}

/// Its middleware looks at a handshake once the gate is open, and refuses it if it asks for that.
fn behind(gate: &Gate) -> Gateway {
    let gate = gate.clone();
    let guard = from_fn(move |request: Request, next: Next| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            match request.headers().contains_key("refused") {
                false => next.run(request).await,
                true => StatusCode::UNAUTHORIZED.into_response(),
            }
        }
    });
    gateway!(channel("/", http = [guard], async |message: Message| {
        message
    }))
}

fn handshake(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: test\r\n{lines}{HANDSHAKE}\r\n")
}

/// Opens a socket and sends a handshake with these lines too.
async fn asks(server: &TestServer, lines: &str) -> TcpStream {
    let mut stream = server.tcp().await;
    stream.write_all(handshake(lines).as_bytes()).await.unwrap();
    stream
}

/// Reads up to and with the end of a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("an answer"));
    }
    String::from_utf8_lossy(&head).to_lowercase()
}

async fn is_echoed(stream: &mut TcpStream) {
    let frame = raw::frame(0x81, b"hello");
    stream.write_all(&frame).await.unwrap();
    let mut reply = [0; 7];
    soon(stream.read_exact(&mut reply)).await.expect("a reply");
    assert_eq!(&reply, b"\x81\x05hello");
}

#[tokio::test]
async fn a_handshake_may_come_in_any_pieces() {
    let server = serve(echo()).await;
    let request = format!("GET /echo HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n");
    for size in [1, 3, 50, request.len() - 1] {
        let mut stream = server.tcp().await;
        stream.set_nodelay(true).unwrap();
        for piece in request.as_bytes().chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(head(&mut stream).await.starts_with("http/1.1 101"));
        is_echoed(&mut stream).await;
    }
}

#[tokio::test]
async fn the_lines_of_a_handshake_may_end_without_a_carriage_return() {
    let server = serve(echo()).await;
    let request = format!("GET /echo HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n").replace('\r', "");
    let mut stream = server.tcp().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 101"));
    is_echoed(&mut stream).await;
}

#[tokio::test]
async fn a_handshake_may_be_long_have_many_lines_and_name_the_whole_url() {
    let server = serve(gateway!(channel(
        "/echo",
        max_header_size = 32KiB,
        async |message: Message| message
    )))
    .await;
    let long = format!("x-long: {}\r\n", "a".repeat(20_000));
    let many: String = (0..80).map(|line| format!("x-{line}: 1\r\n")).collect();
    for lines in [long, many] {
        is_echoed(&mut raw::open_with(&server, "/echo", &lines).await).await;
    }
    is_echoed(&mut raw::open_at(&server, "http://test/echo").await).await;
    is_echoed(&mut raw::open_at(&server, "/%65cho").await).await;
}

#[tokio::test]
async fn a_refused_handshake_is_looked_at_once_and_its_socket_stays_open() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let guard = from_fn(move |request: Request, next: Next| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            match request.headers().contains_key("password") {
                true => next.run(request).await,
                false => (StatusCode::UNAUTHORIZED, "who are you?").into_response(),
            }
        }
    });
    let server = serve(gateway!(channel(
        "/",
        http = [guard],
        async |message: Message| message
    )))
    .await;
    let mut stream = server.tcp().await;
    for asked in 1..=2 {
        stream.write_all(handshake("").as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with("http/1.1 401"), "{head}");
        assert!(head.contains("content-length: 12"), "{head}");
        let mut body = [0; 12];
        soon(stream.read_exact(&mut body)).await.expect("a body");
        assert_eq!(&body, b"who are you?");
        assert_eq!(seen.load(Ordering::SeqCst), asked);
    }
    let request = handshake("password: 1\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 101"));
    is_echoed(&mut stream).await;
}

#[tokio::test]
async fn a_refusal_may_come_after_the_time_for_the_head() {
    let gate = Gate::closed();
    let header_timeout = Duration::from_millis(100);
    let server = serve_with(behind(&gate), |server| {
        server.header_timeout(header_timeout)
    })
    .await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(asks(&server, "refused: 1\r\n").await);
    }
    until("all are looked at", || gate.running() == 16).await;
    sleep(2 * header_timeout).await;
    gate.open.add_permits(16);
    for mut stream in streams {
        assert!(head(&mut stream).await.starts_with("http/1.1 401"));
    }
}

#[tokio::test]
async fn an_ordinary_handshake_does_not_pass_through_hyper() {
    let guard = from_fn(|request: Request, next: Next| async {
        match request.extensions().get::<hyper::upgrade::OnUpgrade>() {
            Some(_) => StatusCode::IM_A_TEAPOT.into_response(),
            None => next.run(request).await,
        }
    });
    let server = serve(gateway!(channel(
        "/{*rest}",
        http = [guard],
        async |message: Message| message
    )))
    .await;
    is_echoed(&mut raw::open_at(&server, "/room?a=b").await).await;
}

#[tokio::test]
async fn an_answer_that_middleware_replaces_leaves_no_connection() {
    let registry = Registry::new();
    let replaces = from_fn(|request: Request, next: Next| async {
        next.run(request).await;
        StatusCode::CONFLICT
    });
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        max_connections = 1,
        http = [replaces],
        async |message: Message| message
    )))
    .await;
    for _ in 0..3 {
        let status = raw::status(&server, handshake("").as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 409");
        until("it is gone", || registry.is_empty()).await;
    }
}

#[tokio::test]
async fn frames_before_the_answer_are_read_after_it() {
    let gate = Gate::closed();
    let server = serve(behind(&gate)).await;
    let mut stream = asks(&server, "").await;
    until("the middleware runs", || gate.running() == 1).await;
    // More than the server reads before its answer.
    let early = [b'a'; 30_000];
    stream.write_all(&raw::frame(0x82, &early)).await.unwrap();
    gate.open.add_permits(1);
    assert!(head(&mut stream).await.starts_with("http/1.1 101"));
    let mut reply = vec![0; 4 + early.len()];
    soon(stream.read_exact(&mut reply)).await.expect("a reply");
    assert_eq!(reply[4..], early);
    is_echoed(&mut stream).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_is_no_longer_looked_at() {
    let gate = Gate::closed();
    let server = serve(behind(&gate)).await;
    let stream = asks(&server, "").await;
    until("the middleware runs", || gate.running() == 1).await;
    drop(stream);
    until("the middleware is dropped", || gate.running() == 0).await;
}

/// Upgrades by itself, says hello and ends.
async fn own_upgrade(mut request: Request) -> impl IntoResponse {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.expect("an upgrade"));
        io.write_all(b"hello").await.expect("write");
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

#[tokio::test]
async fn what_stands_beside_channels_upgrades_by_itself() {
    let mounted = Router::new()
        .route("/", get(own_upgrade))
        .route("/ws", get(own_upgrade));
    let server = serve(gateway!(
        get("/own", own_upgrade),
        channel("/{*rest}", async |message: Message| message),
        mount("/app", mounted),
    ))
    .await;
    for path in ["/own", "/%6fwn", "/app", "/app/", "/app/ws"] {
        let mut hello = [0; 5];
        let mut stream = raw::open_at(&server, path).await;
        soon(stream.read_exact(&mut hello)).await.expect(path);
        assert_eq!(&hello, b"hello");
    }
    is_echoed(&mut raw::open_at(&server, "/room").await).await;
}
