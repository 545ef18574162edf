//! TLS on the server's sockets.

mod clients;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async, connect_async, tungstenite::client::IntoClientRequest,
};
use wasabi::{
    Tls, TlsError,
    prelude::*,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
        version::{TLS12, TLS13},
    },
};
use wasabi_tests::{Gate, TestServer, serve_with, soon, until};

struct Identity {
    certificate: CertificateDer<'static>,
    pem: (String, String),
    key: PrivateKeyDer<'static>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    Identity {
        pem: (cert.pem(), signing_key.serialize_pem()),
        key: PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key"),
        certificate: cert.der().clone(),
    }
}

fn tls(identity: &Identity) -> Tls {
    let (certificate, key) = &identity.pem;
    Tls::from_pem_bytes(certificate.as_bytes(), key.as_bytes()).expect("TLS")
}

async fn echo(tls: Tls) -> TestServer {
    let gateway = gateway!(channel("/", async |text: Text| text));
    serve_with(gateway, |server| server.tls(tls)).await
}

/// Opens a TLS connection that trusts only this certificate.
async fn connect(
    server: &TestServer,
    trusted: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    soon(connector.connect(name, server.tcp().await)).await
}

async fn websocket(
    server: &TestServer,
    trusted: &Identity,
) -> WebSocketStream<TlsStream<TcpStream>> {
    let stream = connect(server, trusted, &[&TLS13], &[]).await;
    let handshake = client_async("wss://localhost/", stream.expect("TLS"));
    soon(handshake).await.expect("handshake").0
}

async fn ask(socket: &mut WebSocketStream<TlsStream<TcpStream>>, text: &str) -> String {
    soon(socket.send(text.into())).await.expect("send");
    let answer = soon(socket.next()).await.expect("an answer");
    answer.expect("an answer").to_string()
}

#[tokio::test]
async fn messages_go_over_tls_1_2_and_1_3_and_alpn_agrees_on_http_1_1() {
    let identity = identity();
    let server = echo(tls(&identity)).await;
    for version in [&TLS12, &TLS13] {
        let stream = connect(&server, &identity, &[version], &[b"h2", b"http/1.1"]).await;
        let stream = stream.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let handshake = client_async("wss://localhost/", stream);
        let mut socket = soon(handshake).await.expect("handshake").0;
        let large = "x".repeat(30_000);
        assert_eq!(ask(&mut socket, &large).await, large);
    }
    let stream = connect(&server, &identity, &[&TLS13], &[b"h2"]).await;
    assert!(stream.is_err(), "there is no HTTP/2");
}

#[tokio::test]
async fn a_page_loaded_without_tls_is_refused_on_a_host_with_tls() {
    let identity = identity();
    let server = echo(tls(&identity)).await;
    for (origin, let_in) in [("https://localhost", true), ("http://localhost", false)] {
        let stream = connect(&server, &identity, &[&TLS13], &[])
            .await
            .expect("TLS");
        let mut request = "wss://localhost/".into_client_request().expect("a URL");
        let origin = http::HeaderValue::from_static(origin);
        request.headers_mut().insert("origin", origin.clone());
        let handshake = soon(client_async(request, stream)).await;
        assert_eq!(handshake.is_ok(), let_in, "{origin:?}");
    }
}

#[tokio::test]
async fn alpn_selects_http_2_if_both_sides_support_it() {
    let identity = identity();
    let server = serve_with(
        gateway!(
            get("/", async |req: axum::extract::Request| format!(
                "{:?}",
                req.version()
            )),
            channel("/echo", async |text: Text| text)
        ),
        |server| server.tls(tls(&identity)).http2_streams(100),
    )
    .await;
    let stream = connect(&server, &identity, &[&TLS13], &[b"h2", b"http/1.1"]).await;
    let stream = stream.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut requests, connection) = soon(hyper::client::conn::http2::handshake(executor, io))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(axum::body::Body::empty());
    let answer = soon(requests.send_request(request.expect("a request")))
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, http::Version::HTTP_2)
    );

    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = connect(&server, &identity, &[&TLS12], alpn)
            .await
            .expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().copied());
        let handshake = client_async("wss://localhost/echo", stream);
        let mut socket = soon(handshake).await.expect("handshake").0;
        assert_eq!(ask(&mut socket, "hello").await, "hello");
    }
}

#[tokio::test]
async fn a_client_without_tls_is_cut_off() {
    let server = echo(tls(&identity())).await;
    let answer = server.raw("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(!answer.contains("HTTP"), "{answer}");
    // A client hello for TLS 1.1 at most: its version is 3.2, and it has no extensions to offer more.
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0, 47, 0, 53, 1, 0]);
    let mut stream = server.tcp().await;
    stream.write_all(&hello).await.expect("write");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

#[tokio::test]
async fn operators_and_plain_addresses_are_answered_without_tls() {
    let identity = identity();
    let gateway = gateway!(channel("/echo", async |message: Message| message));
    let server = serve_with(gateway, |server| {
        server
            .tls(tls(&identity))
            .also_bind_plain("127.0.0.1:0")
            .admin("127.0.0.1:0")
    })
    .await;
    let plain = server.handle.addrs().await[1];
    let (mut socket, _) = soon(connect_async(format!("ws://{plain}/echo")))
        .await
        .expect("handshake");
    soon(socket.send("hello".into())).await.expect("send");
    let answer = soon(socket.next()).await.expect("an answer");
    assert_eq!(answer.expect("an answer").to_string(), "hello");

    let addr = soon(server.handle.admin_addr()).await.expect("an address");
    let mut stream = soon(TcpStream::connect(addr)).await.expect("TCP");
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("write");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_off_and_delays_nobody() {
    let identity = identity();
    let server = echo(tls(&identity).handshake_timeout(Duration::from_millis(200))).await;
    let start = Instant::now();
    let mut silent = server.tcp().await;
    let mut partial = server.tcp().await;
    partial.write_all(&[22, 3, 1, 2]).await.expect("write");
    assert_eq!(
        ask(&mut websocket(&server, &identity).await, "hi").await,
        "hi"
    );
    for stalled in [&mut silent, &mut partial] {
        let mut rest = Vec::new();
        let _ = soon(stalled.read_to_end(&mut rest)).await;
    }
    // Three seconds are the default, so the setting was applied.
    assert!(start.elapsed() < Duration::from_millis(2800));
}

#[tokio::test]
async fn a_client_that_says_nothing_after_the_handshake_is_cut_off() {
    let identity = identity();
    let gateway = gateway!(channel("/echo", async |message: Message| message));
    let server = serve_with(gateway, |server| {
        server
            .tls(tls(&identity))
            .header_timeout(Duration::from_millis(300))
    })
    .await;
    for said in ["", "GET / HTTP/1.1\r\nhost: te"] {
        let stream = connect(&server, &identity, &[&TLS13], &[]).await;
        let mut stream = stream.expect("TLS");
        stream.write_all(said.as_bytes()).await.expect("write");
        stream.flush().await.expect("flush");
        let start = Instant::now();
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        assert!(start.elapsed().as_millis() < 1300, "{said:?}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_is_not_read_is_noticed() {
    let identity = identity();
    let gate = Gate::closed();
    let held = gate.clone();
    let gateway = gateway!(channel(
        "/",
        concurrency = 1,
        ping = None,
        move |_: Text| {
            let held = held.clone();
            async move {
                held.pass().await;
                "passed"
            }
        }
    ));
    let server = serve_with(gateway, |server| server.tls(tls(&identity))).await;
    let mut socket = websocket(&server, &identity).await;
    for _ in 0..100 {
        soon(socket.send("x".into())).await.expect("send");
    }
    until("the slot is busy", || gate.running() == 1).await;
    drop(socket);
    until("the request is cancelled", || gate.running() == 0).await;
}

#[tokio::test]
async fn a_custom_configuration_works() {
    let identity = identity();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS12])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = echo(Tls::from_config(config)).await;
    let refused = connect(&server, &identity, &[&TLS13], &[]).await;
    assert!(refused.is_err());
    let stream = connect(&server, &identity, &[&TLS12], &[b"h2", b"http/1.1"]).await;
    let stream = stream.expect("TLS 1.2");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wasabi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, identity: &Identity) -> (PathBuf, PathBuf) {
        let (certificate, key) = (self.0.join("cert.pem"), self.0.join("key.pem"));
        std::fs::write(&certificate, &identity.pem.0).expect("write");
        std::fs::write(&key, &identity.pem.1).expect("write");
        (certificate, key)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_certificate_is_reloaded_while_connections_stay() {
    let (old, new) = (identity(), identity());
    let folder = Folder::new("reload");
    let (certificate, key) = folder.write(&old);
    let tls = Tls::from_pem(&certificate, &key).expect("TLS");
    let server = echo(tls.clone()).await;
    let mut before = websocket(&server, &old).await;

    // Only half of the renewal is there.
    std::fs::write(&certificate, &new.pem.0).expect("write");
    assert!(matches!(tls.reload(), Err(TlsError::Unusable(_))));
    assert!(connect(&server, &old, &[&TLS13], &[]).await.is_ok());

    folder.write(&new);
    tls.reload().expect("a new certificate");
    assert!(connect(&server, &old, &[&TLS13], &[]).await.is_err());
    assert_eq!(ask(&mut websocket(&server, &new).await, "new").await, "new");
    assert_eq!(ask(&mut before, "old").await, "old");
}

#[test]
fn an_invalid_certificate_is_a_clear_error() {
    let (one, two) = (identity(), identity());
    let of = |certificate: &str, key: &str| {
        let made = Tls::from_pem_bytes(certificate.as_bytes(), key.as_bytes());
        made.expect_err("an error").to_string()
    };
    assert!(of("", &one.pem.1).starts_with("no valid certificate: "));
    assert!(of(&one.pem.0, "").starts_with("no valid private key: "));
    assert!(of(&one.pem.0, &two.pem.1).starts_with("cannot use the certificate and key: "));
    let missing = Tls::from_pem("no/such/file", "nor/this").expect_err("an error");
    assert!(
        missing
            .to_string()
            .starts_with("cannot read no/such/file: ")
    );
    assert!(matches!(tls(&one).reload(), Err(TlsError::NoFiles)));
}

#[tokio::test]
async fn a_connection_that_is_drained_ends_with_1012_and_the_end_of_tls() {
    let identity = identity();
    let server = echo(tls(&identity)).await;
    let mut socket = websocket(&server, &identity).await;
    assert_eq!(ask(&mut socket, "hi").await, "hi");
    server.handle.drain();
    let close = soon(socket.next()).await.expect("a close frame");
    let close = close.expect("a close frame").to_string();
    assert!(close.contains("restarting"), "{close}");
    // An end without a `close_notify` would be an error.
    assert!(soon(socket.next()).await.is_none());
    server.ended().await.expect("drained");
}
