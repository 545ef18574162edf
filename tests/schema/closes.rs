//! The close codes of the AsyncAPI document: those that clients see, where they see them.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{
    Decoded, GraphqlWs, Init,
    middleware::http::{BearerAuth, Denied, Identity},
    prelude::*,
};
use wasabi_tests::{TestServer, serve};

async fn verify(token: String) -> Result<Identity<String>, Denied> {
    match &*token {
        "forbidden" => Err(Denied::Forbidden),
        "down" => Err(Denied::Unavailable),
        "wrong" => Err(Denied::Invalid),
        _ => Ok(Identity::new(token)),
    }
}

fn gateway() -> Gateway {
    let auth = || BearerAuth::new(verify).query_parameter("token");
    gateway!(
        channel("/plain", max_message_size = 16, async |text: Text| text),
        channel("/idle", idle_timeout = 20ms, NoRoute),
        channel(
            "/upstream",
            WebSocket::connect("ws://127.0.0.1:1/").close_on_failed_dial()
        ),
        channel("/lenient", WebSocket::connect("ws://127.0.0.1:1/")),
        channel("/login", http = [auth()], NoRoute),
        channel("/browser", http = [auth().refuse_by_close()], NoRoute),
        channel("/graphql", protocol = GraphqlWs::new(), NoRoute),
        channel(
            "/late",
            protocol = GraphqlWs::relay().init_timeout(20ms),
            NoRoute
        ),
        channel(
            "/failing",
            protocol = GraphqlWs::new().init(async |_: Init| -> () { panic!("an init") }),
            NoRoute,
        ),
        channel(
            "/decoded",
            protocol = Decoded::with(
                |message: &Message, _: &Connection| Ok(message.clone()),
                GraphqlWs::new()
            ),
            NoRoute,
        ),
    )
}

fn codes(document: &Value, channel: &str) -> Vec<u16> {
    let codes = document["channels"][channel]["x-wasabi"]["closeCodes"].as_object();
    let codes = codes.expect("close codes").keys();
    codes.filter_map(|code| code.parse().ok()).collect()
}

/// How the client's connection ends after these messages.
async fn close(server: &TestServer, path: &str, messages: &[&str]) -> u16 {
    let subprotocol = [("sec-websocket-protocol", "graphql-transport-ws")];
    let speaks = ["/graphql", "/late", "/failing"].contains(&path);
    let headers = if speaks { &subprotocol[..] } else { &[] };
    let client = server.connect_with(path, headers).await;
    let mut client = client.expect("a client");
    for message in messages {
        client.send(*message).await;
    }
    loop {
        match client.next().await {
            Frame::Close(Some(frame)) => return frame.code.into(),
            Frame::Close(None) => return 1005,
            _ => {}
        }
    }
}

const ALWAYS: [u16; 6] = [1002, 1007, 1008, 1009, 1011, 1012];

#[test]
fn a_channel_names_the_codes_that_its_settings_and_targets_cause() {
    let document = gateway().asyncapi().to_value();
    let with = |more: &[u16]| {
        let mut all = [&ALWAYS[..], more].concat();
        all.sort_unstable();
        all
    };
    for (channel, more) in [
        ("plain", &[][..]),
        ("idle", &[1001]),
        ("upstream", &[1014]),
        ("lenient", &[]),
        ("login", &[4401]),
        ("browser", &[1013, 4401, 4403]),
        ("graphql", &[4400, 4401, 4408, 4409, 4429]),
        ("decoded", &[4400, 4401, 4408, 4409, 4429]),
        ("late", &[4400, 4401, 4408, 4409, 4429]),
        ("failing", &[4400, 4401, 4408, 4409, 4429, 4500]),
    ] {
        assert_eq!(codes(&document, channel), with(more), "{channel}");
    }
    let lost = &document["channels"]["lenient"]["x-wasabi"]["closeCodes"]["1011"];
    assert_eq!(
        *lost,
        json!("An unexpected condition. The connection to an upstream was lost.")
    );
}

/// All but 1014, which this client takes for invalid.
#[tokio::test]
async fn the_codes_on_the_wire_are_in_the_document() {
    let document = gateway().asyncapi().to_value();
    let server = serve(gateway()).await;
    let init = r#"{"type":"connection_init"}"#;
    let subscribe = r#"{"id":"a","type":"subscribe","payload":{"query":"{ n }"}}"#;
    for (path, messages, code) in [
        ("/plain", &["more than sixteen bytes"][..], 1009),
        ("/idle", &[], 1001),
        ("/browser?token=wrong", &[], 4401),
        ("/browser?token=down", &[], 1013),
        ("/browser?token=forbidden", &[], 4403),
        ("/graphql", &["no JSON"], 4400),
        ("/graphql", &[subscribe], 4401),
        ("/graphql", &[init, init], 4429),
        ("/late", &[], 4408),
        ("/failing", &[init], 4500),
    ] {
        assert_eq!(close(&server, path, messages).await, code, "{path}");
        let channel = path.split('?').next().unwrap_or_default();
        let codes = codes(&document, channel.trim_start_matches('/'));
        assert!(codes.contains(&code), "{path} {code}");
    }
}
