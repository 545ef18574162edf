//! HTTP requests during a drain.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    middleware::{Next, from_fn},
    routing::get,
};
use futures_util::stream;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use wasabi::{Admin, Server, prelude::*};
use wasabi_tests::{Gate, TestServer, http2::Http2, raw::HANDSHAKE, serve_with, soon, until};

/// Longer than the time that cut requests get.
const LONG: Duration = Duration::from_millis(1500);

fn patient(server: Server) -> Server {
    server
        .header_timeout(Duration::from_secs(60))
        .drain_timeout(Duration::from_secs(60))
}

/// Answers once the gate is open, and then takes a long time.
fn gateway(gate: &Gate) -> Gateway {
    let (head, body) = (gate.clone(), gate.clone());
    gateway!(
        get("/livez", async || "ok"),
        get("/readyz", readiness),
        get("/slow", move || {
            let gate = head.clone();
            async move {
                gate.pass().await;
                sleep(LONG).await;
                "all of it"
            }
        }),
        get("/streamed", move || {
            let gate = body.clone();
            let rest = stream::once(async move {
                gate.pass().await;
                sleep(LONG).await;
                Ok::<_, Infallible>("all of it")
            });
            std::future::ready(Body::from_stream(rest))
        }),
        channel("/", async |text: Text| text),
    )
}

async fn ask(server: &TestServer, path: &str) -> TcpStream {
    let mut stream = server.tcp().await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    stream
}

/// Reads everything until the end of the stream.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_drain_completes_answers_and_listens_until_then() {
    let gate = Gate::closed();
    let server = serve_with(gateway(&gate), patient).await;
    let mut client = server.connect("/").await;
    let slow = ask(&server, "/slow").await;
    let streamed = ask(&server, "/streamed").await;
    until("both are being answered", || gate.running() == 2).await;
    server.handle.drain();
    assert_eq!(client.closed().await.0, 1012);
    assert_eq!(server.get("/readyz").await, 503);
    gate.open.add_permits(2);
    let (slow, streamed) = (rest(slow).await, rest(streamed).await);
    assert!(slow.starts_with("HTTP/1.1 200"), "{slow}");
    assert!(slow.contains("connection: close"), "{slow}");
    assert!(slow.ends_with("\r\n\r\nall of it"), "{slow}");
    assert!(streamed.contains("all of it"), "{streamed}");
    server.ended().await.expect("drained");
}

/// Starts a drain, and waits until it has begun.
async fn drain(server: &TestServer) {
    server.handle.drain();
    soon(async { while server.get("/readyz").await != 503 {} }).await;
}

#[tokio::test]
async fn requests_during_a_drain_are_answered_and_delay_nobody() {
    let gate = Gate::closed();
    let server = serve_with(gateway(&gate), patient).await;
    let before = ask(&server, "/slow").await;
    until("it is being answered", || gate.running() == 1).await;
    drain(&server).await;
    let during = ask(&server, "/slow").await;
    until("both are being answered", || gate.running() == 2).await;
    gate.open.add_permits(1);
    assert!(rest(before).await.ends_with("all of it"));
    // A client that always has a request in flight does not keep the server listening.
    closes(&server).await;
    gate.open.add_permits(1);
    assert!(rest(during).await.ends_with("all of it"));
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn sockets_without_a_request_do_not_delay_a_drain() {
    let server = serve_with(gateway(&Gate::closed()), patient).await;
    let _silent = server.tcp().await;
    let mut kept = ask(&server, "/livez").await;
    let mut answer = [0; 12];
    soon(kept.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.drain().await.expect("drained");
}

/// Waits until the server only waits for requests that are being answered.
async fn closes(server: &TestServer) {
    soon(async { while TcpStream::connect(server.addr).await.is_ok() {} }).await;
}

#[tokio::test]
async fn half_a_handshake_may_become_whole_while_the_server_closes() {
    let server = serve_with(gateway(&Gate::closed()), patient).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = server.tcp().await;
        stream.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
        streams.push(stream);
    }
    // The server has read it.
    assert_eq!(server.get("/livez").await, 200);
    server.handle.drain();
    closes(&server).await;
    for stream in &mut streams {
        let rest = format!("st: test\r\n{HANDSHAKE}\r\n");
        stream.write_all(rest.as_bytes()).await.unwrap();
    }
    for stream in streams {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer:?}");
    }
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn a_handshake_during_a_drain_is_refused_although_the_server_closes() {
    let gate = Gate::closed();
    let (first, then) = (gate.clone(), gate.clone());
    let guard = from_fn(move |_: Request, _: Next| {
        let gate = then.clone();
        async move {
            gate.pass().await;
            StatusCode::UNAUTHORIZED
        }
    });
    let gateway = gateway!(
        get("/readyz", readiness),
        get("/slow", async move || first.pass().await),
        channel("/", http = [guard], async |text: Text| text),
    );
    let server = serve_with(gateway, patient).await;
    let slow = ask(&server, "/slow").await;
    until("it is being answered", || gate.running() == 1).await;
    drain(&server).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = server.tcp().await;
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    until("all are looked at", || gate.running() == 9).await;
    gate.open.add_permits(1);
    assert!(rest(slow).await.starts_with("HTTP/1.1 200"));
    closes(&server).await;
    gate.open.add_permits(8);
    for stream in streams {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer:?}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn requests_without_an_answer_are_cut_at_the_drain_timeout() {
    let gate = Gate::closed();
    let server = serve_with(gateway(&gate), |server| {
        server.drain_timeout(Duration::from_millis(200))
    })
    .await;
    let slow = ask(&server, "/slow").await;
    let streamed = ask(&server, "/streamed").await;
    until("both are being answered", || gate.running() == 2).await;
    server.drain().await.expect("drained");
    assert_eq!(rest(slow).await, "");
    assert!(!rest(streamed).await.contains("all of it"));
}

#[tokio::test]
async fn a_stop_cuts_what_a_drain_would_wait_for() {
    let gate = Gate::closed();
    let server = serve_with(gateway(&gate), patient).await;
    let before = ask(&server, "/slow").await;
    until("it is being answered", || gate.running() == 1).await;
    drain(&server).await;
    server.handle.stop();
    server.ended().await.expect("stopped");
    assert_eq!(rest(before).await, "");
}

#[tokio::test]
async fn over_http_2_too() {
    let gate = Gate::closed();
    let server = serve_with(gateway(&gate), |server| patient(server).http2_streams(10)).await;
    let mut http2 = Http2::connect(&server).await;
    let idle = Http2::connect(&server).await;
    // The server does not know yet which protocol it speaks.
    let _silent = server.tcp().await;
    let (slow, streamed) = (
        http2.request(Method::GET, "/slow"),
        http2.request(Method::GET, "/streamed"),
    );
    let slow = tokio::spawn(http2.requests.send_request(slow));
    let streamed = tokio::spawn(http2.requests.send_request(streamed));
    until("both are being answered", || gate.running() == 2).await;
    drain(&server).await;
    gate.open.add_permits(2);
    for answer in [slow, streamed] {
        let answer = soon(answer).await.expect("no panic").expect("an answer");
        let body = to_bytes(Body::new(answer.into_body()), 1024);
        assert_eq!(soon(body).await.expect("a body"), "all of it");
    }
    server.ended().await.expect("drained");
    until("the socket is closed", || idle.requests.is_closed()).await;
}

#[tokio::test]
async fn requests_of_operators_do_not_delay_a_drain() {
    let gate = Gate::closed();
    let held = gate.clone();
    let slow = get(move || {
        let gate = held.clone();
        async move { gate.pass().await }
    });
    let admin = Admin::bind("127.0.0.1:0").nest("/debug", Router::new().route("/slow", slow));
    let server = serve_with(gateway(&Gate::closed()), |server| {
        patient(server).admin(admin)
    })
    .await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let mut stream = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    let request = b"GET /debug/slow HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("write");
    until("it is being answered", || gate.running() == 1).await;
    server.drain().await.expect("drained");
}
