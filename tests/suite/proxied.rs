//! Listeners for proxies that speak the PROXY protocol.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasabi::{ServeError, prelude::*};
use wasabi_tests::{TestServer, serve_with, soon};

async fn whoami(ip: ClientIp, RemoteAddr(addr): RemoteAddr) -> String {
    format!("{ip} {addr}")
}

async fn serve(networks: &'static [&'static str]) -> (TestServer, SocketAddr) {
    let gateway = gateway!(
        get("/", |ip: ClientIp| async move { ip.to_string() }),
        channel("/ws", whoami)
    );
    let server = serve_with(gateway, |server| {
        server
            .also_bind_proxied("127.0.0.1:0", networks)
            .max_sockets_per_client(2)
            .header_timeout(Duration::from_millis(500))
    })
    .await;
    let addr = server.handle.addrs().await[1];
    (server, addr)
}

/// Returns everything that is answered to a request behind this header.
async fn ask(addr: SocketAddr, header: &[u8]) -> String {
    let mut stream = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    let request = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(&[header, request].concat()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";

#[tokio::test]
async fn the_address_from_a_proxy_is_that_of_the_client() {
    let (_server, addr) = serve(&["127.0.0.0/8"]).await;
    assert!(ask(addr, V1).await.ends_with("\r\n203.0.113.7"));
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x01\xbb";
    assert!(ask(addr, v2).await.ends_with("\r\n2001:db8::7"));
    assert!(
        ask(addr, b"PROXY UNKNOWN\r\n")
            .await
            .ends_with("\r\n127.0.0.1")
    );

    let mut stream = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    stream.write_all(V1).await.expect("write");
    let handshake = tokio_tungstenite::client_async("ws://test/ws", stream);
    let (mut socket, _) = soon(handshake).await.expect("handshake");
    use futures_util::{SinkExt, StreamExt};
    soon(socket.send("".into())).await.expect("send");
    let answer = soon(socket.next())
        .await
        .expect("an answer")
        .expect("an answer");
    assert_eq!(answer.to_string(), "203.0.113.7 203.0.113.7:4711");
}

#[tokio::test]
async fn a_peer_that_is_no_proxy_or_sends_no_header_is_cut_off() {
    let (server, addr) = serve(&["10.0.0.0/8"]).await;
    assert_eq!(ask(addr, V1).await, "", "it is not trusted");
    let claimed = ask(server.addr, V1).await;
    assert!(
        claimed.is_empty() || claimed.starts_with("HTTP/1.1 400"),
        "{claimed}"
    );
    let (_server, addr) = serve(&["127.0.0.1"]).await;
    assert_eq!(ask(addr, b"").await, "", "there is no header");
    let mut silent = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    silent.write_all(b"PROXY ").await.expect("write");
    let read = soon(silent.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn clients_of_a_proxy_are_counted_by_the_address_it_sends() {
    let (_server, addr) = serve(&["127.0.0.1"]).await;
    let mut held = Vec::new();
    for last in [7, 7, 8] {
        let mut stream = soon(TcpStream::connect(addr))
            .await
            .expect("TCP connection");
        let header = format!("PROXY TCP4 203.0.113.{last} 10.0.0.1 4711 443\r\n");
        let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
        stream
            .write_all((header + request).as_bytes())
            .await
            .expect("write");
        assert_eq!(soon(stream.read_u8()).await.expect("an answer"), b'H');
        held.push(stream);
    }
    assert_eq!(ask(addr, V1).await, "", "the third of this client");
}

#[tokio::test]
async fn an_invalid_network_of_proxies_is_a_mistake() {
    let server = Server::bind_proxied("127.0.0.1:0", ["everywhere"]).signals(false);
    let gateway = gateway!(channel("/", async |text: Text| text));
    let error = soon(server.serve(gateway)).await.expect_err("a mistake");
    assert!(matches!(error, ServeError::Mistakes(_)), "{error}");
}
