//! R46: one address that takes more than its share.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use wasabi::prelude::*;
use wasabi_tests::{TestServer, raw, serve, serve_with, soon, until};

/// Sends a handshake with these header lines; returns the socket and the head of the answer.
async fn open(server: &TestServer, headers: &str) -> (TcpStream, String) {
    let mut stream = server.tcp().await;
    let handshake = raw::HANDSHAKE;
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{headers}{handshake}\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("an answer"));
    }
    (stream, String::from_utf8(head).expect("text"))
}

fn proxied(client: &str) -> String {
    format!("x-forwarded-for: {client}\r\n")
}

/// A server behind a proxy at the address that the tests connect from.
async fn behind_a_proxy(limits: LimitClients, registry: &Registry) -> TestServer {
    serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        http = [ClientIp::trusting(["127.0.0.1"]), limits.clone()],
        middleware = [limits],
        async |text: Text| text
    )))
    .await
}

#[tokio::test]
async fn each_client_has_its_own_limit_of_connections() {
    let registry = Registry::new();
    let server = behind_a_proxy(LimitClients::new().connections(2), &registry).await;
    let mut open_of_one = Vec::new();
    for _ in 0..2 {
        let (stream, head) = open(&server, &proxied("203.0.113.7")).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        open_of_one.push(stream);
    }
    for _ in 0..3 {
        let (_, head) = open(&server, &proxied("203.0.113.7")).await;
        assert!(head.starts_with("HTTP/1.1 429"), "{head}");
        assert!(head.contains("retry-after: 1"), "{head}");
    }
    let (_other, head) = open(&server, &proxied("203.0.113.8")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    open_of_one.pop();
    until("it is gone", || registry.len() == 2).await;
    let admitted = async {
        loop {
            let (stream, head) = open(&server, &proxied("203.0.113.7")).await;
            if head.starts_with("HTTP/1.1 101") {
                return stream;
            }
        }
    };
    soon(admitted).await;
}

#[tokio::test]
async fn the_addresses_of_an_ipv6_subscriber_are_one_client() {
    let registry = Registry::new();
    let server = behind_a_proxy(LimitClients::new().connections(1), &registry).await;
    let (_first, head) = open(&server, &proxied("2001:db8:1:2::1")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for same in ["2001:db8:1:2::2", "2001:db8:1:2:ffff:ffff:ffff:ffff"] {
        let (_, head) = open(&server, &proxied(same)).await;
        assert!(head.starts_with("HTTP/1.1 429"), "{same}: {head}");
    }
    let (_other, head) = open(&server, &proxied("2001:db8:1:3::1")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

#[tokio::test]
async fn handshakes_over_the_rate_are_refused_before_anything_looks_at_them() {
    let registry = Registry::new();
    let limits = LimitClients::new().handshakes_per_second(3);
    let server = behind_a_proxy(limits, &registry).await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let (_, head) = open(&server, &proxied("203.0.113.7")).await;
        statuses.push(head[9..12].to_owned());
    }
    assert_eq!(statuses[..3], ["101", "101", "101"]);
    let refused = statuses.iter().filter(|status| *status == "429").count();
    assert!(refused > 10, "{statuses:?}");
    // The gateway does not trust a client that is not a proxy.
    let (_, head) = open(&server, &proxied("203.0.113.8")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

#[tokio::test]
async fn messages_are_counted_on_all_connections_of_a_client_together() {
    let limits = LimitClients::new().messages_per_second(5);
    let server = serve(gateway!(channel(
        "/",
        middleware = [limits],
        async |text: Text| text
    )))
    .await;
    let mut answers = Vec::new();
    let mut clients = [server.connect("/").await, server.connect("/").await];
    for _ in 0..10 {
        for client in &mut clients {
            answers.push(client.ask("hello").await);
        }
    }
    let passed = answers.iter().filter(|answer| *answer == "hello").count();
    assert!((5..15).contains(&passed), "{passed} passed");
    assert!(answers.iter().any(|answer| answer.contains("rate_limited")));
    let mut other = server.connect_from([127, 0, 0, 2], "/").await;
    assert_eq!(other.ask("hello").await, "hello");
}

#[tokio::test]
async fn sockets_without_requests_are_limited_per_client() {
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = serve_with(gateway, |server| {
        server
            .max_sockets_per_client(3)
            .header_timeout(std::time::Duration::from_secs(60))
    })
    .await;
    let from = async |address: [u8; 4]| {
        let socket = TcpSocket::new_v4().expect("a socket");
        let local = SocketAddr::from((address, 0));
        socket.bind(local).expect("an address of this machine");
        soon(socket.connect(server.addr))
            .await
            .expect("TCP connection")
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(from([127, 0, 0, 2]).await);
    }
    for _ in 0..5 {
        let mut refused = from([127, 0, 0, 2]).await;
        let request = b"GET /none HTTP/1.1\r\nhost: test\r\n\r\n";
        let _ = refused.write_all(request).await;
        let read = soon(refused.read(&mut [0; 1])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    let mut other = server.connect("/").await;
    assert_eq!(other.ask("hello").await, "hello");
    held.clear();
    let admitted = async {
        loop {
            let mut stream = from([127, 0, 0, 2]).await;
            let mut head = [0; 12];
            let asked = stream
                .write_all(b"GET /none HTTP/1.1\r\nhost: test\r\n\r\n")
                .await;
            if asked.is_ok() && stream.read_exact(&mut head).await.is_ok() {
                return head;
            }
        }
    };
    assert_eq!(&soon(admitted).await, b"HTTP/1.1 404");
}

#[test]
fn limits_of_nothing_or_everything_are_mistakes() {
    let zero = std::hint::black_box(0);
    for limits in [
        LimitClients::new(),
        LimitClients::new().connections(zero),
        LimitClients::new().handshakes_per_second(zero as u32),
        LimitClients::new().messages_per_second(zero as u32),
        LimitClients::new().connections(1).max_clients(zero),
    ] {
        let gateway = gateway!(channel("/", http = [limits.clone()], async |text: Text| {
            text
        }));
        assert!(gateway.check().is_err(), "{limits:?}");
    }
}
