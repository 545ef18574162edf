//! The examples, as programs of their own; the quickstart, JSON-RPC and an upstream also asked by clients that others
//! wrote.

#[path = "clients/asyncapi.rs"]
mod asyncapi;
#[path = "clients/conformance.rs"]
mod conformance;
#[path = "clients/deriv.rs"]
mod deriv;
#[path = "clients/examples.rs"]
mod examples;
#[path = "clients/graphql.rs"]
mod graphql;
#[path = "clients/json_rpc.rs"]
mod json_rpc;
#[path = "clients/many_machines.rs"]
mod many_machines;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use wasabi_tests::{Client, example::Example, serve, serve_with, soon};

fn tools() -> PathBuf {
    let tools = std::env::var_os("WASABI_TEST_TOOLS");
    PathBuf::from(tools.expect("WASABI_TEST_TOOLS is set by tests/run"))
}

fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn assert_ok(mut command: Command) {
    let output = command.output().expect("the client runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs Python's websockets: run tests/run"]
fn python_websockets_can_use_the_quickstart() {
    let quickstart = Example::start("quickstart", &["--addr", "127.0.0.1:0"]);
    let mut python = Command::new(tools().join("python/bin/python"));
    python
        .arg(clients().join("contract.py"))
        .arg(quickstart.url());
    assert_ok(python);
}

#[test]
#[ignore = "needs npm's ws: run tests/run"]
fn npm_ws_can_use_the_quickstart() {
    let quickstart = Example::start("quickstart", &["--addr", "127.0.0.1:0"]);
    let mut node = Command::new("node");
    node.arg(clients().join("contract.mjs"))
        .arg(quickstart.url());
    assert_ok(node);
}

/// A test in `schema` holds it to what the gateway says.
#[test]
#[ignore = "needs npm's @asyncapi/parser: run tests/run"]
fn npm_asyncapi_parser_accepts_the_document_beside_the_example() {
    let document = clients().join("../../examples/asyncapi.yaml");
    asyncapi::check(&document, &clients().join("asyncapi.json"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's graphql-ws: run tests/run"]
async fn npm_graphql_ws_can_use_a_channel_of_its_protocol() {
    let server = serve(graphql::gateway()).await;
    let mut node = Command::new("node");
    node.arg(clients().join("graphql.mjs")).arg(server.url("/"));
    let client = tokio::task::spawn_blocking(move || assert_ok(node));
    client.await.expect("the client agrees");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's graphql-ws: run tests/run"]
async fn npm_graphql_ws_can_use_a_server_of_its_protocol_behind_the_gateway() {
    let behind = serve(graphql::gateway()).await;
    let server = serve(graphql::relay(&behind.url("/"))).await;
    let mut node = Command::new("node");
    node.arg(clients().join("graphql.mjs")).arg(server.url("/"));
    let client = tokio::task::spawn_blocking(move || assert_ok(node));
    client.await.expect("the client agrees");
}

/// WebSockets over streams, without TLS and with it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node: run tests/run"]
async fn the_http2_module_of_node_opens_websockets_on_streams() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let tls = wasabi::Tls::from_pem_bytes(certificate.as_bytes(), key.as_bytes()).expect("TLS");
    for (scheme, tls) in [("http", None), ("https", Some(tls))] {
        let gateway = wasabi::gateway!(
            get("/livez", async || "alive"),
            channel(
                "/echo",
                max_message_size = 64KiB,
                async |message: wasabi::Message| message
            ),
        );
        let server = serve_with(gateway, |server| {
            let server = server.http2_streams(100);
            match tls {
                Some(tls) => server.tls(tls),
                None => server,
            }
        })
        .await;
        let url = format!("{scheme}://localhost:{}", server.addr.port());
        let mut node = Command::new("node");
        node.arg(clients().join("http2.mjs")).arg(url);
        let run = tokio::task::spawn_blocking(move || assert_ok(node));
        run.await.expect("the client succeeds");
    }
}

/// A channel whose messages are compressed each for itself, and one where they refer to earlier ones.
fn compressing(threshold: usize) -> wasabi::Gateway {
    use wasabi::Compression;

    let deflate = Compression::deflate().threshold(threshold);
    wasabi::gateway!(
        max_message_size = 16MiB,
        compression = deflate.clone(),
        channel("/", async |message: wasabi::Message| message),
        channel(
            "/kept",
            compression = deflate.clone().context_takeover(15),
            async |message: wasabi::Message| message,
        ),
        channel(
            "/small",
            compression = deflate.context_takeover(9),
            async |message: wasabi::Message| message,
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python's websockets: run tests/run"]
async fn python_websockets_exchanges_compressed_messages() {
    let server = serve(compressing(1024)).await;
    for path in ["/", "/kept", "/small"] {
        let mut python = Command::new(tools().join("python/bin/python"));
        python
            .arg(clients().join("compression.py"))
            .arg(server.url(path));
        let run = tokio::task::spawn_blocking(move || assert_ok(python));
        run.await.expect("the client succeeds");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's ws: run tests/run"]
async fn npm_ws_exchanges_compressed_messages() {
    let server = serve(compressing(1024)).await;
    for path in ["/", "/kept", "/small"] {
        let mut node = Command::new("node");
        node.arg(clients().join("compression.mjs"))
            .arg(server.url(path));
        let run = tokio::task::spawn_blocking(move || assert_ok(node));
        run.await.expect("the client succeeds");
    }
}

#[tokio::test]
async fn the_quickstart_drains_on_sigterm_and_sigint_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let mut quickstart = Example::start("quickstart", &["--addr", "127.0.0.1:0"]);
        let (mut socket, _) = soon(tokio_tungstenite::connect_async(quickstart.url()))
            .await
            .expect("handshake");
        for n in 0..20 {
            let request = format!(r#"{{"action":"time","id":{n}}}"#);
            socket.feed(request.into()).await.expect("send");
        }
        socket.flush().await.expect("send");
        // The first reply tells that the requests are on their way.
        soon(socket.next())
            .await
            .expect("a reply")
            .expect("a reply");
        let start = Instant::now();
        quickstart.signal(signal);
        let mut answered = 1;
        let close = loop {
            match soon(socket.next()).await.expect("a close frame") {
                Ok(Message::Close(frame)) => break frame.expect("a code"),
                Ok(Message::Text(_)) => answered += 1,
                other => panic!("expected a reply or a close frame, got {other:?}"),
            }
        };
        while soon(socket.next()).await.is_some() {}
        assert_eq!((answered, u16::from(close.code)), (20, 1012), "SIG{signal}");
        assert_eq!(quickstart.wait().code(), Some(0), "SIG{signal}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn the_quickstart_prints_how_to_try_it() {
    let quickstart = Example::start("quickstart", &["--addr", "127.0.0.1:0"]);
    let address = quickstart.url();
    let output = quickstart.stop_and_read();
    for part in [
        &*address,
        "channel /echo",
        "channel /",
        "sum",
        "Adds the numbers in `values`.",
        "Http::post(upstream)",
        "Timeout",
        "/livez",
        "/readyz",
        "wscat",
        "http://127.0.0.1:",
        "/console",
    ] {
        assert!(output.contains(part), "no {part:?} in\n{output}");
    }
}

#[test]
fn an_unknown_option_is_an_error() {
    let mut command = Example::command("quickstart");
    let status = command.arg("--adr").stderr(Stdio::null()).status();
    assert_eq!(status.expect("it runs").code(), Some(2));
}

/// Sends a text message to an example and returns the text that comes back.
async fn ask<S>(socket: &mut tokio_tungstenite::WebSocketStream<S>, text: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    socket.send(text.into()).await.expect("send");
    let reply = soon(socket.next()).await.expect("a reply");
    reply
        .expect("a reply")
        .into_text()
        .expect("text")
        .to_string()
}
