//! What the upstream's handshake takes from the client's.

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
