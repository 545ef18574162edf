//! What the upstream's handshake inherits from the client's.

use wasabi::prelude::*;
use wasabi_tests::serve;

use wasabi_tests::websocket_upstream::Upstream;

#[tokio::test]
async fn chosen_query_parameters_and_headers_reach_the_upstream_and_no_others() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(upstream.url("/v3?brand=x"))
            .require_query(["app_id"])
            .forward_query(["l"])
            .forward_headers(["user-agent", "x-trace"])
            .header("x-api-key", "secret"),
    ));
    let server = serve(gateway).await;
    let mut client = server
        .connect_with(
            "/?app_id=1089&l=EN&brand=mine&other=1",
            &[("user-agent", "test/1"), ("cookie", "session=1")],
        )
        .await
        .expect("handshake");
    for n in 0..20 {
        client.send(n.to_string()).await;
    }
    let mut peer = upstream.accept().await;
    for n in 0..20 {
        assert_eq!(peer.text().await, n.to_string());
    }
    assert_eq!(peer.uri.to_string(), "/v3?brand=x&app_id=1089&l=EN");
    assert_eq!(peer.headers["user-agent"], "test/1");
    assert_eq!(peer.headers["x-api-key"], "secret");
    assert_eq!(peer.headers["host"], upstream.addr.to_string());
    for absent in ["cookie", "x-trace", "origin", "sec-websocket-protocol"] {
        assert!(!peer.headers.contains_key(absent), "{absent}");
    }
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn a_handshake_without_what_is_required_is_400_and_dials_nothing() {
    let upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(upstream.url("/"))
            .require_query(["app_id"])
            .require_headers(["x-user"])
            .eager(),
    ));
    let server = serve(gateway).await;
    let user = [("x-user", "ada")];
    for (path, headers) in [
        ("/", &user[..]),
        ("/?app_id=", &user[..]),
        ("/?xapp_id=1", &user[..]),
        ("/?app_id=1", &[][..]),
    ] {
        let refusal = server.connect_with(path, headers).await.err();
        assert_eq!(refusal.expect("a refusal").status(), 400, "{path}");
    }
    assert_eq!(upstream.dials(), 0);
    assert!(server.connect_with("/?app_id=1", &user).await.is_ok());
}

#[tokio::test]
async fn the_agreed_subprotocol_is_offered_to_the_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        subprotocols = ["v2.json", "v1.json"],
        WebSocket::connect(upstream.url("/")).forward_subprotocol(),
    ));
    let server = serve(gateway).await;
    let offer = [("sec-websocket-protocol", "v0.json, v1.json")];
    let mut client = server.connect_with("/", &offer).await.expect("handshake");
    client.send("hello").await;
    let peer = upstream.accept().await;
    assert_eq!(peer.headers["sec-websocket-protocol"], "v1.json");
}

#[tokio::test]
async fn an_upstream_that_does_not_take_the_subprotocol_is_not_connected_to() {
    let upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        subprotocols = ["refused"],
        WebSocket::connect(upstream.url("/")).forward_subprotocol(),
    ));
    let server = serve(gateway).await;
    let offer = [("sec-websocket-protocol", "refused")];
    let mut client = server.connect_with("/", &offer).await.expect("handshake");
    let reply = client.ask("hello").await;
    assert_eq!(reply, "upstream_invalid: upstream sent an invalid answer");
}

#[tokio::test]
async fn encoded_line_breaks_in_a_forwarded_parameter_stay_encoded() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(upstream.url("/")).forward_query(["l"])
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/?l=a%0D%0Ax-evil:%201%00").await;
    client.send("hello").await;
    let peer = upstream.accept().await;
    assert_eq!(peer.uri.query(), Some("l=a%0D%0Ax-evil:%201%00"));
    assert!(!peer.headers.contains_key("x-evil"));
}

#[derive(Clone)]
struct User(String);

#[tokio::test]
async fn an_upstream_is_dialled_with_the_identity_that_the_client_has_logged_in_with() {
    let mut upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/"))
        .header_with("x-request-id", |connection| {
            Some(connection.id().to_string())
        })
        .header_with("x-user", |connection| {
            let user: Identity<User> = connection.identity()?;
            Some(user.0.clone())
        })
        .forward_headers(["x-user"]);
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        match key {
            "login" => async |connection: Connection| {
                connection.renew(Identity::new(User("zoe".into())));
                connection.id().to_string()
            },
            _ => backend,
        },
    )))
    .await;
    let forged = [("x-user", "root")];
    let mut client = server.connect_with("/", &forged).await.expect("connected");
    client.send(r#"{"do":"x"}"#).await;
    let peer = upstream.accept().await;
    assert_eq!(peer.headers.get("x-user"), None, "nobody has logged in");
    let mut client = server.connect_with("/", &forged).await.expect("connected");
    let id = client.ask(r#"{"do":"login"}"#).await;
    client.send(r#"{"do":"x"}"#).await;
    let peer = upstream.accept().await;
    assert_eq!(peer.headers["x-user"], "zoe");
    assert_eq!(peer.headers["x-request-id"], id);
}

#[tokio::test]
async fn forwarded_headers_of_an_untrusted_client_do_not_reach_the_upstream() {
    for (trusted, addresses) in [
        ("10.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "203.0.113.7, 127.0.0.1"),
    ] {
        let mut upstream = Upstream::start().await;
        let server = serve(gateway!(channel(
            "/",
            http = [ClientIp::trusting([trusted])],
            WebSocket::connect(upstream.url("/"))
                .forwarded_for()
                .forwarded()
                .eager(),
        )))
        .await;
        let claims = [
            ("x-forwarded-for", "198.51.100.1, 203.0.113.7"),
            ("forwarded", "for=198.51.100.1"),
        ];
        let _client = server.connect_with("/", &claims).await.expect("connected");
        let peer = upstream.accept().await;
        assert_eq!(peer.headers["x-forwarded-for"], addresses);
        let forwarded = format!("for={}", addresses.replace(", ", ", for="));
        let told = peer.headers["forwarded"].to_str().expect("text");
        assert!(told.starts_with(&forwarded), "{told}");
        assert!(!told.contains("198.51"), "{told}");
    }
    for name in ["x-forwarded-for", "forwarded", "x-forwarded-proto"] {
        let backend = WebSocket::connect("ws://up/").forward_headers([name]);
        let mistakes = gateway!(channel("/", backend)).check().expect_err(name);
        assert!(
            mistakes[0].to_string().contains("use `forwarded"),
            "{mistakes:?}"
        );
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_made_for_one_client_does_not_affect_others() {
    let mut upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/")).header_with("x-name", |connection| {
        let name = connection.headers().get("x-name")?.to_str().ok()?;
        assert_ne!(name, "panic");
        Some(name.replace('|', "\r\n"))
    });
    let server = serve(gateway!(channel("/", backend))).await;
    for (name, answer) in [
        (
            "a|x-admin: yes",
            "bad_request: a value contains characters that a header cannot have",
        ),
        ("panic", "internal: internal error"),
    ] {
        let mut client = server
            .connect_with("/", &[("x-name", name)])
            .await
            .expect("connected");
        assert_eq!(client.ask("hello").await, answer);
        let mut other = server.connect("/").await;
        other.send("hello").await;
        assert_eq!(upstream.accept().await.text().await, "hello");
    }
    assert_eq!(upstream.dials(), 2);
}
