//! What the AsyncAPI document says of handshakes, and of messages that are read in another way than others.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use wasabi::{
    Error,
    middleware::http::{BearerAuth, Identity},
    prelude::*,
};

use super::document::{message, replies};

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Page {
    page: u32,
}

#[test]
fn what_an_upstream_takes_from_the_handshake_is_in_the_binding_and_required_if_it_is() {
    let gateway = gateway!(
        channel(
            "/socket",
            WebSocket::connect("ws://up/{?shard}")
                .forward_query(["lang", "page"])
                .require_query(["l"])
                .forward_headers(["user-agent"])
                .require_headers(["X-Tenant"])
        ),
        channel(
            "/http",
            parser = JsonKey::at("/do"),
            match key {
                "page" => async |_: Query<Page>| "a page",
                _ => Http::post("http://up/?of={?page}").forward_headers(["x-tenant"]),
            }
        ),
        channel("/plain", async || "a"),
    );
    let document = gateway.asyncapi().to_value();
    let binding = |channel: &str| document["channels"][channel]["bindings"]["ws"].clone();
    let text = json!({ "type": "string" });
    let socket = binding("socket");
    assert_eq!(
        socket["query"],
        json!({
            "type": "object",
            "properties": { "l": text, "lang": text, "page": text, "shard": text },
            "required": ["l"],
        })
    );
    assert_eq!(
        socket["headers"],
        json!({
            "type": "object",
            "properties": { "user-agent": text, "x-tenant": text },
            "required": ["x-tenant"],
        })
    );
    let http = binding("http");
    assert_eq!(http["query"]["properties"]["page"]["type"], "integer");
    assert_eq!(
        http["headers"],
        json!({ "type": "object", "properties": { "x-tenant": text } })
    );
    let plain = binding("plain");
    assert_eq!(plain, json!({ "method": "GET", "bindingVersion": "0.1.0" }));
    let client = gateway.typescript();
    assert!(
        client.contains("query: { l: string; lang?: string; page?: string; shard?: string };"),
        "{client}"
    );
}

#[test]
fn an_error_has_an_id_only_where_the_parser_reads_ids() {
    let gateway = gateway!(
        channel("/ids", parser = JsonKey::at("/do").id("/of"), async || "a"),
        channel("/none", parser = JsonKey::at("/do"), async || "a"),
        channel("/raw", errors = Json, async || "a"),
    );
    let document = gateway.asyncapi().to_value();
    let error = |channel: &str| message(&document, channel, "error")["payload"].clone();
    assert!(error("ids")["properties"]["of"].is_object());
    // A request may have none.
    assert_eq!(error("ids")["required"], json!(["error"]));
    for channel in ["none", "raw"] {
        let members = error(channel)["properties"]
            .as_object()
            .map(serde_json::Map::len);
        assert_eq!(members, Some(1), "{channel}");
    }
}

#[test]
fn messages_that_are_not_json_are_described_where_they_lead() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").not_json("other"),
        match key {
            "say" => async |_: Json<Value>| "said",
            "other" => async |_: Binary| "got",
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let other = message(&document, "root", "other");
    assert_eq!(other["contentType"], Value::Null);
    assert_eq!(
        other["payload"]["properties"]["do"],
        json!({ "const": "other" })
    );
    let say = message(&document, "root", "say");
    assert_eq!(say["contentType"], "application/json");
    // Nothing is unreadable.
    let unreadable = &document["channels"]["root"]["x-wasabi"]["unreadable"];
    assert_eq!(unreadable["known"], json!(["bad_request", "no_key"]));
}

#[test]
fn a_route_that_takes_new_tokens_says_what_it_answers_and_how_it_fails() {
    async fn verify(token: String) -> Option<Identity<String>> {
        Some(Identity::new(token))
    }
    fn token(_: &Request) -> Result<String> {
        Err(Error::bad_request("no token"))
    }
    let auth = || BearerAuth::new(verify);
    let gateway = gateway!(channel(
        "/",
        http = [auth()],
        parser = JsonKey::at("/do"),
        match key {
            "silent" => auth().refresh(token),
            "said" => auth().refresh(token).reply(|_, _| "renewed"),
            _ => NoRoute,
        },
    ));
    let [silent, ..] = gateway.operations() else {
        panic!("routes")
    };
    for code in ["superseded", "unauthorized", "unavailable"] {
        assert!(silent.codes().contains(code), "{code}");
    }
    let document = gateway.asyncapi().to_value();
    assert_eq!(replies(&document, "root.silent"), [""; 0]);
    assert_eq!(replies(&document, "root.said"), ["text", "error"]);
}
