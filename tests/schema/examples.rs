//! Examples of types become examples of messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasabi::{Params, prelude::*};

use super::document::message;

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(example = json!({ "item": "tea" }), example = json!({ "item": "milk", "meta": { "id": 7 } }))]
struct Order {
    item: String,
}

/// Types may have a member for the key.
#[derive(Deserialize, JsonSchema)]
#[schemars(example = json!({ "do": "old", "count": 1 }), example = json!({ "do": "new", "count": 2 }))]
struct Keyed {
    #[serde(rename = "do")]
    _action: String,
    #[serde(rename = "count")]
    _count: u8,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

fn examples(document: &Value, channel: &str, name: &str) -> Value {
    message(document, channel, name)["examples"].clone()
}

#[test]
fn an_example_of_a_type_becomes_a_message_with_key_and_id() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/meta/id"),
        match key {
            "order" => async |order: Json<Order>| order,
            "new" => async |_: Json<Keyed>| (),
            "two" => async |_: Json<Order>, _: Json<Keyed>| (),
            "none" => async |_: Json<Nothing>| (),
            _ => async |_: Json<Order>| (),
        },
    ));
    let document = gateway.asyncapi().to_value();
    let examples = |name: &str| examples(&document, "root", name);
    let orders = json!([
        { "payload": { "do": "order", "item": "tea", "meta": { "id": 1 } } },
        { "payload": { "do": "order", "item": "milk", "meta": { "id": 7 } } },
    ]);
    assert_eq!(examples("order"), orders);
    let keyed = json!([{ "payload": { "do": "new", "count": 2, "meta": { "id": 1 } } }]);
    assert_eq!(examples("new"), keyed, "the other example has another key");
    let answers = json!([
        { "payload": { "item": "tea" } },
        { "payload": { "item": "milk", "meta": { "id": 7 } } },
    ]);
    assert_eq!(examples("Order"), answers);
    // Of a part of a message, of no type, of no known key.
    for without in ["two", "none", "other"] {
        assert_eq!(examples(without), Value::Null, "{without}");
    }
}

#[test]
fn an_example_of_parameters_becomes_a_call_and_one_of_a_result_a_response() {
    let gateway = gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        match key {
            "order" => async |Params(order): Params<Order>| Json(order),
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let first = |name: &str| examples(&document, "root", name)[0]["payload"].clone();
    let call = json!({ "jsonrpc": "2.0", "method": "order", "params": { "item": "tea" }, "id": 1 });
    assert_eq!(first("order"), call);
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": { "item": "tea" } });
    assert_eq!(first("Order"), response);
}
