//! What the AsyncAPI document says of messages: nothing that is not so.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use wasabi::{ErrorFormat, prelude::*};

use super::document::{message, replies};

#[test]
fn an_undescribed_message_may_be_anything() {
    let gateway = gateway!(
        channel("/own", async |_: Text| Reply::none()),
        channel(
            "/any",
            parser = JsonKey::at("/key"),
            match key {
                "value" => async || Json(json!(null)),
                _ => Http::post("http://orders/"),
            },
        ),
    );
    let document = gateway.asyncapi().to_value();
    for (channel, operation) in [("own", "own.message"), ("any", "any.other")] {
        assert_eq!(
            message(&document, channel, "undescribed")["payload"],
            json!({}),
            "{channel}"
        );
        assert_eq!(replies(&document, operation), ["undescribed", "error"]);
    }
}

#[test]
fn a_json_string_and_a_text_are_two_messages() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "json" => async || Json(String::new()),
            "text" => async || String::new(),
            "again" => async || Text::from("again"),
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let [json, text, again] = ["json", "text", "again"].map(|key| {
        let replies = replies(&document, &format!("root.{key}"));
        replies.into_iter().next().unwrap_or_default()
    });
    assert_eq!(text, again);
    let content_type = |name: &str| message(&document, "root", name)["contentType"].clone();
    assert_eq!(content_type(&json), "application/json");
    assert_eq!(content_type(&text), "text/plain");
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    req_id: u64,
}

/// What the document says of errors, and whether it correlates them.
fn errors(parser: JsonKey, errors: ErrorFormat) -> (Value, bool) {
    let gateway = gateway!(channel(
        "/",
        parser = parser,
        errors = errors,
        match key {
            "a" => async || Json(Receipt { req_id: 1 }),
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let error = message(&document, "root", "error");
    let properties = error["payload"]["properties"].clone();
    (properties, !error["correlationId"].is_null())
}

#[test]
fn the_id_of_an_error_is_where_it_is_written() {
    let id = json!({ "type": ["string", "number"] });
    let parser = || JsonKey::at("/key").id("/req_id");
    let (properties, is_correlated) = errors(parser(), ErrorFormat::json());
    assert_eq!(properties["req_id"], id);
    assert!(is_correlated);

    let elsewhere = ErrorFormat::json_id_at("/other");
    let (properties, is_correlated) = errors(parser(), elsewhere);
    assert_eq!(properties["other"], id);
    assert!(!is_correlated, "requests have their id elsewhere");

    let (properties, is_correlated) =
        errors(JsonKey::at("/key").id("/error/id"), ErrorFormat::json());
    assert_eq!(properties["id"], id, "{properties}");
    assert!(!is_correlated);

    let (properties, is_correlated) = errors(JsonKey::at("/key"), ErrorFormat::json());
    assert_eq!(properties["id"], Value::Null, "no request has one");
    assert!(!is_correlated);
}

#[test]
fn ids_and_logins_at_other_places_are_components_of_their_own() {
    let gateway = gateway!(
        channel(
            "/a",
            parser = JsonKey::at("/key").id("/a/b"),
            async |_: Text| "a"
        ),
        channel(
            "/b",
            parser = JsonKey::at("/key").id("/a_b"),
            async |_: Text| "b"
        ),
        channel(
            "/c",
            parser = JsonKey::at("/key").id("/a/b"),
            async |_: Text| "c"
        ),
    );
    let document = gateway.asyncapi().to_value();
    let location = |channel: &str| {
        let id = &message(&document, channel, "message")["correlationId"]["$ref"];
        let pointer = id.as_str().and_then(|id| id.strip_prefix('#'));
        let found = document.pointer(pointer.unwrap_or_default());
        found.map(|id| id["location"].clone())
    };
    let [a, b, c] = ["a", "b", "c"].map(location);
    assert_eq!(a, Some(json!("$message.payload#/a/b")));
    assert_eq!(b, Some(json!("$message.payload#/a_b")));
    assert_eq!(a, c);
    let ids = document["components"]["correlationIds"].as_object();
    assert_eq!(ids.map(serde_json::Map::len), Some(2));
}

#[test]
fn a_key_that_is_refused_gets_errors_and_nothing_else() {
    let of = |errors: ErrorFormat| {
        let gateway = gateway!(channel(
            "/",
            parser = JsonKey::at("/key"),
            errors = errors,
            match key {
                "admin" => NoRoute,
                "ping" => async || (),
                _ => NoRoute,
            },
        ));
        gateway.asyncapi().to_value()
    };
    let document = of(ErrorFormat::json());
    let admin = &document["operations"]["root.admin"]["x-wasabi"];
    assert_eq!(admin["replies"], json!(["only errors"]));
    assert_eq!(replies(&document, "root.admin"), ["error"]);
    assert_eq!(replies(&document, "root.ping"), [""; 0]);
    assert_eq!(replies(&of(ErrorFormat::Silent), "root.admin"), [""; 0]);
}

#[test]
fn a_message_without_a_key_is_one_of_the_route_that_takes_it() {
    let gateway = gateway!(
        channel(
            "/named",
            parser = JsonKey::at("/key").id("/id").or("item"),
            match key {
                "item" | "other" => async |_: Text| "item",
                _ => async |_: Text| "rest",
            },
        ),
        channel(
            "/rest",
            parser = JsonKey::at("/key").or("passed on"),
            match key {
                "item" => async |_: Text| "item",
                key if key.starts_with("admin.") => async |_: Text| "admin",
                _ => Http::post("http://orders/"),
            },
        ),
        channel(
            "/all",
            parser = JsonKey::at("/head/key").or("any"),
            async |_: Text| "all"
        ),
    );
    let document = gateway.asyncapi().to_value();
    let payload = |channel, name| &message(&document, channel, name)["payload"];
    // Any JSON may be without a key, and not only an object.
    assert_eq!(
        *payload("named", "item"),
        json!({ "properties": { "key": { "const": "item" }, "id": { "type": ["string", "number"] } } })
    );
    assert_eq!(payload("rest", "other")["required"], Value::Null);
    assert_eq!(
        *payload("all", "message"),
        json!({ "properties": { "head": { "properties": { "key": { "type": "string" } } } } })
    );
    for (channel, name) in [
        ("named", "other"),
        ("named", "other_2"),
        ("rest", "item"),
        ("rest", "admin.any"),
    ] {
        let payload = payload(channel, name);
        assert_eq!(payload["required"], json!(["key"]), "{channel} {name}");
    }
}
