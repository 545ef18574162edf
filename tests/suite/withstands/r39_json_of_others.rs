//! Messages in which another JSON parser finds a key that ours does not.

use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::prelude::*;
use wasabi_tests::{serve, websocket_upstream::Upstream};

/// Messages that some parser reads as a call of `admin.delete`.
fn disguised() -> Vec<(&'static str, Frame)> {
    let deep = format!(
        r#"{{"method":"admin.delete","x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let utf_16: Vec<u8> =
        r#"{"method":"admin.delete"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("nested deep", deep.into()),
        ("NaN", r#"{"method":"admin.delete","n":NaN}"#.into()),
        (
            "a byte order mark",
            "\u{feff}{\"method\":\"admin.delete\"}".into(),
        ),
        (
            "a tab in a string",
            "{\"method\":\"admin.delete\",\"x\":\"a\tb\"}".into(),
        ),
        ("NUL behind it", "{\"method\":\"admin.delete\"}\0".into()),
        (
            "more JSON behind it",
            "{\"method\":\"admin.delete\"}\n{}".into(),
        ),
        ("UTF-16", Frame::binary(utf_16)),
        (
            "bad UTF-8 elsewhere",
            Frame::binary(b"{\"method\":\"admin.delete\",\"x\":\"\xff\"}".to_vec()),
        ),
        ("another case", r#"{"Method":"admin.delete"}"#.into()),
        (
            "another case beside it",
            r#"{"method":"harmless","METHOD":"admin.delete"}"#.into(),
        ),
        (
            "twice",
            r#"{"method":"admin.delete","method":"harmless"}"#.into(),
        ),
        (
            "twice, escaped",
            r#"{"\u006dethod":"admin.delete","method":"harmless"}"#.into(),
        ),
        ("in an array", r#"{"method":["admin.delete"]}"#.into()),
        (
            "half a surrogate pair",
            r#"{"method":"admin.delete\ud800"}"#.into(),
        ),
    ]
}

#[tokio::test]
async fn ambiguous_json_does_not_smuggle_a_withheld_method_to_an_upstream() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/method").id("/id").or("passthrough"),
        match key {
            "admin.delete" => async |_: Message| r#""withheld""#,
            _ => WebSocket::connect(upstream.url("/")),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(
        client.ask(r#"{"method":"admin.delete"}"#).await,
        r#""withheld""#
    );
    for (what, frame) in disguised() {
        client.send(frame).await;
        let reply = client.json().await;
        let code = reply["error"]["code"].as_str().unwrap_or_default();
        let refused = ["bad_request", "unreadable", "no_key"];
        assert!(refused.contains(&code), "{what}: {reply}");
    }
    assert_eq!(upstream.dials(), 0);

    // Messages without a key, and those with another key, pass.
    client.send(r#"{"ping":1}"#).await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, r#"{"ping":1}"#);
    client
        .send(r#"{"method":"Admin.delete","x":1,"x":2}"#)
        .await;
    assert_eq!(
        peer.text().await,
        r#"{"method":"Admin.delete","x":1,"x":2}"#
    );
}
