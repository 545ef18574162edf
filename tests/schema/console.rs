//! The console, as clients see it that pretend to be its page.

mod page;

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use wasabi::{Admin, Error, ServeError, prelude::*};
use wasabi_tests::{Client, Refusal, TestServer, serve_with, soon};

/// A server with a console.
async fn served(gateway: Gateway) -> (TestServer, SocketAddr) {
    served_by(Admin::bind("127.0.0.1:0"), gateway).await
}

/// A server with a console on this listener.
async fn served_by(admin: Admin, gateway: Gateway) -> (TestServer, SocketAddr) {
    let admin = admin.console();
    let server = serve_with(gateway, |server| server.admin(admin)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    (server, addr)
}

/// A bridge, from a page that sends these headers.
async fn open(addr: SocketAddr, headers: &[(&str, &str)]) -> Result<Client, Refusal> {
    let url = format!("ws://{addr}/console/bridge");
    let mut request = url.into_client_request().expect("a URL");
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        request.headers_mut().insert(name, value);
    }
    Client::connect(request).await
}

/// A bridge that is told to connect, and what it says to that.
async fn connected(addr: SocketAddr, connect: Value) -> (Client, Value) {
    let mut bridge = open(addr, &[]).await.expect("a bridge");
    let event = bridge.ask_json(json!({ "connect": connect })).await;
    (bridge, event)
}

async fn get(addr: SocketAddr, host: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = soon(tokio::net::TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    answer
}

async fn get_json(addr: SocketAddr, path: &str) -> Value {
    let answer = get(addr, "localhost", path).await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}"))
}

fn echo() -> Gateway {
    gateway!(channel("/echo", async |message: Message| message))
}

#[tokio::test]
async fn the_public_listener_answers_404_to_the_console() {
    let (server, addr) = served(echo()).await;
    for path in ["", "/app.js", "/style.css", "/document.json", "/bridge"] {
        assert_eq!(server.get(&format!("/console{path}")).await, 404, "{path}");
    }
    let page = get(addr, "localhost", "/console").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let policy = "content-security-policy: default-src 'none'; script-src 'self';";
    assert!(page.contains(policy), "{page}");
    assert!(page.contains("frame-ancestors 'none'"), "{page}");
}

#[tokio::test]
async fn a_listener_without_a_console_has_none() {
    let server = serve_with(echo(), |server| server.admin(Admin::bind("127.0.0.1:0"))).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let answer = get(addr, "localhost", "/console").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let admin = Admin::bind("127.0.0.1:0")
        .console()
        .nest("/console", axum::Router::new());
    let refused = Server::bind("127.0.0.1:0").admin(admin).serve(echo()).await;
    let Err(ServeError::Mistakes(mistakes)) = refused else {
        panic!("the path is taken");
    };
    assert!(
        mistakes[0].to_string().contains("`/console`"),
        "{mistakes:?}"
    );
}

#[tokio::test]
async fn a_foreign_origin_or_a_foreign_host_cannot_open_the_bridge() {
    let (_server, addr) = served(echo()).await;
    let own = format!("http://{addr}");
    for origin in ["http://evil.test", "null", "http://127.0.0.1:1"] {
        let refused = open(addr, &[("origin", origin)]).await.err();
        assert_eq!(refused.expect("refused").status(), 403, "{origin}");
    }
    let refused = open(
        addr,
        &[("origin", "http://evil.test"), ("host", "evil.test")],
    )
    .await;
    assert_eq!(refused.err().expect("refused").status(), 421);
    for path in ["", "/app.js", "/document.json", "/status.json"] {
        let answer = get(addr, "evil.test", &format!("/console{path}")).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
    }
    assert!(open(addr, &[("origin", &own)]).await.is_ok());
}

#[tokio::test]
async fn messages_pings_and_closes_pass_the_bridge_in_both_directions() {
    let closes = async |text: Text, connection: Connection| {
        connection.close(wasabi::Close::new(wasabi::CloseCode::new::<4404>(), text));
    };
    let gateway = gateway!(
        channel("/echo", async |message: Message| message),
        channel("/closes", closes),
    );
    let (_server, addr) = served(gateway).await;
    let (mut bridge, event) = connected(addr, json!({ "path": "/echo" })).await;
    assert!(event["opened"]["headers"].is_array(), "{event}");
    for said in [
        json!({ "text": "12345678901234567890 é" }),
        json!({ "base64": "AP8=" }),
    ] {
        assert_eq!(bridge.ask_json(said.clone()).await, said);
    }
    let pong = bridge.ask_json(json!({ "ping": "here" })).await;
    assert_eq!(pong, json!({ "pong": "here" }));
    let failed = bridge.ask_json(json!({ "say": "this" })).await;
    assert!(failed["failed"].is_string(), "{failed}");
    let failed = bridge.ask_json(json!({ "base64": "?" })).await;
    assert!(failed["failed"].is_string(), "{failed}");
    let close = json!({ "close": { "code": 3999, "reason": "bye" } });
    let closed = bridge.ask_json(close).await;
    assert_eq!(
        closed,
        json!({ "closed": { "code": 3999, "reason": "bye" } })
    );
    assert_eq!(bridge.closed().await.0, 1005);

    let (mut bridge, _) = connected(addr, json!({ "path": "/closes" })).await;
    let closed = bridge.ask_json(json!({ "text": "nobody" })).await;
    assert_eq!(
        closed,
        json!({ "closed": { "code": 4404, "reason": "nobody" } })
    );
}

#[tokio::test]
async fn a_handshake_has_any_header_and_a_refusal_is_shown() {
    let tells = async |connection: Connection| {
        let header = |name: &str| connection.headers().get(name).cloned();
        let shown = [header("host"), header("cookie"), header("origin")];
        let address = connection.remote_addr().map(|addr| addr.ip());
        format!("{shown:?} {address:?} {:?}", connection.subprotocol())
    };
    let gateway = gateway!(
        channel(
            "/v1",
            origins = ["https://app.test"],
            subprotocols = ["v1"],
            tells
        ),
        channel(
            "/closed",
            http = [BearerAuth::new(async |_: String| None::<Identity<()>>)],
            async || ()
        ),
    );
    let (_server, addr) = served(gateway).await;
    let headers = [
        ["host", "api.test"],
        ["cookie", "a=b"],
        ["origin", "https://app.test"],
    ];
    let connect = json!({ "path": "/v1?x=1", "headers": headers, "subprotocols": ["v0", "v1"] });
    let (mut bridge, _) = connected(addr, connect).await;
    let told = bridge.ask_json(json!({ "text": "" })).await;
    let expected =
        r#"[Some("api.test"), Some("a=b"), Some("https://app.test")] Some(127.0.0.1) Some("v1")"#;
    assert_eq!(told, json!({ "text": expected }));

    let foreign = json!({ "path": "/v1", "headers": [["origin", "http://evil.test"]] });
    let (mut bridge, event) = connected(addr, foreign).await;
    assert_eq!(event["refused"]["status"], 403, "{event}");
    assert_eq!(bridge.closed().await.0, 1005);
    let (_, event) = connected(addr, json!({ "path": "/closed" })).await;
    assert_eq!(event["refused"]["status"], 401, "{event}");
    let (_, event) = connected(addr, json!({ "path": "/nowhere" })).await;
    assert_eq!(event["refused"]["status"], 404, "{event}");
    let (_, event) = connected(addr, json!({ "path": "/v1//x" })).await;
    assert_eq!(event["refused"]["status"], 400, "{event}");
    for wrong in [
        json!({ "path": "not a path" }),
        json!({ "path": "/v1", "headers": [["x y", "z"]] }),
        json!({ "path": "/v1", "headers": [["x", "a\nb"]] }),
    ] {
        let (_, event) = connected(addr, wrong).await;
        assert!(event["failed"].is_string(), "{event}");
    }
    let mut bridge = open(addr, &[]).await.expect("a bridge");
    let event = bridge.ask_json(json!({ "text": "first" })).await;
    assert_eq!(event, json!({ "failed": "expected `connect` first" }));
}

#[tokio::test]
async fn at_most_32_pages_are_connected() {
    let (_server, addr) = served(echo()).await;
    let mut open_now = Vec::new();
    for _ in 0..32 {
        let (bridge, event) = connected(addr, json!({ "path": "/echo" })).await;
        assert!(event["opened"].is_object(), "{event}");
        open_now.push(bridge);
    }
    let refused = open(addr, &[]).await.err();
    assert_eq!(refused.expect("refused").status(), 503);
}

#[tokio::test]
async fn a_page_that_goes_away_ends_its_connection() {
    let (told, mut closed) = wasabi_tests::told();
    let gateway = gateway!(channel("/", on_disconnect = told, async |text: Text| text));
    let (_server, addr) = served(gateway).await;
    let (bridge, _) = connected(addr, json!({ "path": "/" })).await;
    drop(bridge);
    assert_eq!(soon(closed.recv()).await, Some(1001));
}

#[tokio::test]
async fn a_drain_closes_the_connection_of_a_page() {
    let (server, addr) = served(echo()).await;
    let (mut bridge, _) = connected(addr, json!({ "path": "/echo" })).await;
    server.handle.drain();
    let closed = bridge.json().await;
    assert_eq!(closed["closed"]["code"], 1012, "{closed}");
    server.ended().await.expect("drained");
}

#[tokio::test]
async fn the_state_of_the_server_and_of_a_connection_are_told() {
    let fails = async || Err::<Text, _>(Error::UpstreamUnreachable("down".into()));
    let verify = async |_: String| Some(Identity::new(()).named("ada"));
    let gateway = gateway!(channel(
        "/{name}",
        http = [BearerAuth::new(verify).query_parameter("token")],
        parser = JsonKey::at("/do"),
        match key {
            "fail" => with([CircuitBreaker::new(1, 60s)], fails),
            "who" => async |connection: Connection| connection.id().to_string(),
            "wait" => async || std::future::pending::<()>().await,
            _ => NoRoute,
        },
    ));
    let (server, addr) = served(gateway).await;
    let mut client = server.connect("/ada?token=secret").await;
    client.send(r#"{"do":"wait"}"#).await;
    client.ask(r#"{"do":"fail"}"#).await;
    // A turn that ends before the next request is read tells what is in flight.
    let id = client.ask(r#"{"do":"who"}"#).await;
    let status = get_json(addr, "/console/status.json").await;
    let expected = json!({
        "connections": 1,
        "channels": [{ "channel": "/{name}", "connections": 1, "in_flight": 1 }],
        "waiting_reply_bytes": 0,
        "draining": false,
        "breakers": [{ "route": "fail", "state": "open" }],
    });
    assert_eq!(status, expected);
    let connection = get_json(addr, &format!("/console/connections/{id}")).await;
    assert_eq!(connection["path"], "/ada", "no query: it has a token");
    assert_eq!(connection["user"], "ada");
    assert_eq!(connection["client_ip"], "127.0.0.1");
    for (id, status) in [("999999999", "404"), ("x", "400")] {
        let answer = get(addr, "localhost", &format!("/console/connections/{id}")).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}

#[tokio::test]
async fn the_console_shows_the_document_that_the_listener_serves() {
    let document = echo().asyncapi().title("Another");
    let admin = Admin::bind("127.0.0.1:0").asyncapi(&document);
    let (_server, addr) = served_by(admin, echo()).await;
    let shown = get_json(addr, "/console/document.json").await;
    assert_eq!(shown["info"]["title"], "Another");
    let (_server, addr) = served(echo()).await;
    let shown = get_json(addr, "/console/document.json").await;
    assert_eq!(shown, echo().asyncapi().to_value());
    let document = get(addr, "localhost", "/asyncapi.json").await;
    assert!(document.starts_with("HTTP/1.1 404"), "{document}");
}
