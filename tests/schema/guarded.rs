//! What the AsyncAPI document says of keys that a guard decides on: nothing that it does not know.

use serde_json::{Value, json};
use wasabi::prelude::*;

/// The keys of a channel's messages, by their names.
fn keys(gateway: &Gateway) -> Vec<(String, Value)> {
    let document = gateway.asyncapi().to_value();
    let messages = document["channels"]["root"]["messages"].clone();
    let messages = messages.as_object().expect("messages").clone();
    let requests = messages.into_iter();
    requests
        .map(|(name, message)| (name, message["payload"]["properties"]["key"].clone()))
        .filter(|(_, key)| !key.is_null())
        .collect()
}

fn named(keys: &[(&str, Value)]) -> Vec<(String, Value)> {
    let keys = keys.iter();
    keys.map(|(name, key)| ((*name).to_owned(), key.clone()))
        .collect()
}

#[test]
fn a_match_inside_a_prefix_keeps_its_keys() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            key if key.starts_with("order.") => match key {
                "order.place" => async || (),
                "order.cancel" => async || (),
                _ => async || (),
            },
            _ => NoRoute,
        },
    ));
    let pattern = json!({ "type": "string", "pattern": "^order\\." });
    assert_eq!(
        keys(&gateway),
        named(&[
            ("order.any", pattern),
            ("order.cancel", json!({ "const": "order.cancel" })),
            ("order.place", json!({ "const": "order.place" })),
        ])
    );
}

#[test]
fn a_guard_other_than_a_prefix_says_nothing_of_its_keys() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            key if key.ends_with(".list") => async || (),
            "order.list" => async || "unreachable",
            "quote" => async || (),
            _ => async || (),
        },
    ));
    let any = json!({ "type": "string" });
    assert_eq!(
        keys(&gateway),
        named(&[
            ("key_if_key.ends_with_.list", any.clone()),
            ("other", any),
            ("quote", json!({ "const": "quote" })),
        ])
    );
}
