//! The opening handshake.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasabi::prelude::*;
use wasabi_tests::{
    raw::{self, HANDSHAKE},
    serve, soon,
};

fn echo() -> Gateway {
    gateway!(channel("/echo", async |message: Message| message))
}

fn request(lines: &[&str]) -> String {
    let mut request = String::from("GET /echo HTTP/1.1\r\nhost: test\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request + "\r\n"
}

const UPGRADE: [&str; 2] = ["connection: keep-alive, Upgrade", "upgrade: websocket"];

const VERSION: &str = "sec-websocket-version: 13";

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

async fn status(server: &wasabi_tests::TestServer, lines: &[&str]) -> String {
    let mut lines = lines.to_vec();
    lines.push("x-end: 1");
    // The connection stays open after a refusal; only the head matters.
    let mut stream = server.tcp().await;
    stream.write_all(request(&lines).as_bytes()).await.unwrap();
    let mut head = vec![0; 1024];
    let read = soon(stream.read(&mut head)).await.unwrap();
    String::from_utf8_lossy(&head[..read]).to_lowercase()
}

#[tokio::test]
async fn the_accept_key_follows_the_rfc() {
    let server = serve(echo()).await;
    let head = status(&server, &[UPGRADE[0], UPGRADE[1], VERSION, KEY]).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
}

#[tokio::test]
async fn a_request_without_an_upgrade_gets_426() {
    let server = serve(echo()).await;
    assert_eq!(server.get("/echo").await, 426);
    let head = status(&server, &[]).await;
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("connection: upgrade"), "{head}");
}

#[tokio::test]
async fn another_version_gets_426_and_the_right_one() {
    let server = serve(echo()).await;
    let lines = [UPGRADE[0], UPGRADE[1], "sec-websocket-version: 8", KEY];
    let head = status(&server, &lines).await;
    assert!(head.starts_with("http/1.1 426"), "{head}");
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
}

#[tokio::test]
async fn a_missing_short_or_double_key_gets_400() {
    let server = serve(echo()).await;
    let short = "sec-websocket-key: c2hvcnQ=";
    for keys in [&[][..], &[short][..], &[KEY, KEY][..]] {
        let mut lines = vec![UPGRADE[0], UPGRADE[1], VERSION];
        lines.extend(keys);
        let head = status(&server, &lines).await;
        assert!(head.starts_with("http/1.1 400"), "{keys:?}: {head}");
    }
}

#[tokio::test]
async fn a_post_gets_405() {
    let server = serve(echo()).await;
    let request = format!(
        "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n{VERSION}\r\n{KEY}\r\ncontent-length: 0\r\n\r\n"
    );
    let mut stream = server.tcp().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap().into());
    }
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    assert!(head.contains("allow: GET"), "{head}");
}

#[tokio::test]
async fn an_unknown_path_gets_404() {
    let server = serve(echo()).await;
    assert_eq!(server.get("/nowhere").await, 404);
}

#[tokio::test]
async fn the_server_chooses_among_the_offered_subprotocols() {
    let server = serve(gateway!(channel(
        "/echo",
        subprotocols = ["v2.chat", "v1.chat"],
        async |connection: Connection| connection.subprotocol().unwrap_or("none").to_owned(),
    )))
    .await;
    for (offer, chosen) in [("v1.chat, v2.chat", "v2.chat"), ("v1.chat", "v1.chat")] {
        let offer = [("sec-websocket-protocol", offer)];
        let mut client = server.connect_with("/echo", &offer).await.unwrap();
        assert_eq!(client.response.headers()["sec-websocket-protocol"], chosen);
        assert_eq!(client.ask("").await, chosen);
    }
    let mut client = server.connect("/echo").await;
    assert!(
        !client
            .response
            .headers()
            .contains_key("sec-websocket-protocol")
    );
    assert_eq!(client.ask("").await, "none");
}

#[tokio::test]
async fn http_middleware_runs_outermost_first_and_may_refuse() {
    use wasabi::__private::{HttpNext, HttpRequest};

    #[middleware(http)]
    async fn outer(mut req: HttpRequest, next: HttpNext) -> axum::response::Response {
        req.extensions_mut().insert("outer");
        next.run(req).await
    }

    #[middleware(http)]
    async fn token(
        expected: &'static str,
        req: HttpRequest,
        next: HttpNext,
    ) -> axum::response::Response {
        use axum::response::IntoResponse;
        assert_eq!(req.extensions().get::<&str>(), Some(&"outer"));
        match req.headers().get("x-token") {
            Some(token) if token == expected => next.run(req).await,
            _ => http::StatusCode::UNAUTHORIZED.into_response(),
        }
    }

    let server = serve(gateway!(
        http = [outer],
        channel(
            "/",
            http = [token("secret")],
            async |Extension(who): Extension<&'static str>| who,
        ),
    ))
    .await;
    let refused = server.connect_with("/", &[("x-token", "wrong")]).await;
    assert_eq!(refused.err().unwrap().status(), 401);
    let mut client = server
        .connect_with("/", &[("x-token", "secret")])
        .await
        .unwrap();
    assert_eq!(client.ask("").await, "outer");
}

#[tokio::test]
async fn a_tower_layer_is_http_middleware() {
    let layer = tower::util::MapRequestLayer::new(|mut req: axum::extract::Request| {
        req.extensions_mut().insert(42_u32);
        req
    });
    let server = serve(gateway!(channel(
        "/",
        http = [layer],
        async |Extension(number): Extension<u32>| number.to_string(),
    )))
    .await;
    assert_eq!(server.connect("/").await.ask("").await, "42");
}

#[tokio::test]
async fn a_handshake_with_a_body_gets_400() {
    let server = serve(echo()).await;
    for body in [
        "content-length: 4\r\n\r\nabcd",
        "content-length: 100000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let request = format!("GET /echo HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}{body}");
        let status = raw::status(&server, request.as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 400", "{body:?}");
    }
    let request =
        format!("GET /echo HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}content-length: 0\r\n\r\n");
    assert_eq!(
        raw::status(&server, request.as_bytes()).await,
        "HTTP/1.1 101"
    );
}

#[tokio::test]
async fn a_missing_or_repeated_header_that_is_needed_once_gets_400() {
    let server = serve(echo()).await;
    for more in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nsec-websocket-version: 8\r\n",
    ] {
        let request = format!("GET /echo HTTP/1.1\r\n{more}{HANDSHAKE}\r\n");
        let status = raw::status(&server, request.as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 400", "{more:?}");
    }
}

#[tokio::test]
async fn a_key_with_invalid_base64_gets_400() {
    let server = serve(echo()).await;
    let handshake = HANDSHAKE.replace("dGhlIHNh", "d\u{7e}hlI.Nh");
    let request = format!("GET /echo HTTP/1.1\r\nhost: test\r\n{handshake}\r\n");
    assert_eq!(
        raw::status(&server, request.as_bytes()).await,
        "HTTP/1.1 400"
    );
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    let server = serve(echo()).await;
    let mut stream = server.tcp().await;
    let mut bytes = format!("GET /echo HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n").into_bytes();
    bytes.extend(raw::frame(0x81, b"early"));
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x81\x05early") {
        answer.push(soon(stream.read_u8()).await.unwrap());
    }
}
