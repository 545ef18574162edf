//! Messages of JSON-RPC 2.0.

use serde_json::{Value, json};

use super::{
    shapes::{all_of, any_of},
    wire::{Given, Shape, Taken},
};
use crate::schema::Count;

/// A call of the method with this name, or of those with this schema.
pub(super) fn request(name: Option<&str>, method: Value, taken: Taken) -> Shape {
    let examples = name.iter().flat_map(|name| {
        let params = taken.params_examples.iter();
        params.map(
            move |params| json!({ "jsonrpc": "2.0", "method": name, "params": params, "id": 1 }),
        )
    });
    let examples = examples.collect();
    let mut payload = object(json!({ "method": method, "id": id() }), &["method"]);
    let mut require = |name: &str| {
        if let Some(required) = payload["required"].as_array_mut() {
            required.push(json!(name));
        }
    };
    if taken.needs_params {
        require("params");
    }
    if taken.needs_id {
        require("id");
    }
    payload["properties"]["params"] = match taken.params == json!({}) {
        true => json!({ "type": ["object", "array", "null"] }),
        false => taken.params,
    };
    Shape::json("", all_of(vec![taken.message, payload]))
        .with_id(true)
        .with_examples(examples)
}

/// What parameters may be: by name or by position.
pub(super) fn params(schema: Value, is_list: bool) -> Value {
    match is_list {
        true => schema,
        false => any_of(vec![schema, json!({ "type": "array" })]),
    }
}

/// Responses, and the notifications of a subscription.
pub(super) fn replies(given: &Given, notification: &'static str) -> Vec<Shape> {
    // Text that is JSON is the result as it is.
    let (name, one) = match &given.schema {
        Some(schema) => (given.name.as_str(), schema.clone()),
        None => ("", json!({})),
    };
    let named = |suffix: &str| match name {
        "" => suffix.to_owned(),
        name => format!("{name}.{suffix}"),
    };
    let result = |result: Value| match given.is_optional {
        true => any_of(vec![result, json!({ "type": "null" })]),
        false => result,
    };
    let notified = || notified(named("notification"), notification, &one);
    match given.count {
        Count::None | Count::OnlyErrors => vec![response("null", json!({ "type": "null" }))],
        Count::One | Count::AtMostOne => {
            let name = match name {
                "" => "result",
                name => name,
            };
            let examples = given.examples.iter();
            let examples =
                examples.map(|result| json!({ "jsonrpc": "2.0", "id": 1, "result": result }));
            vec![response(name, result(one)).with_examples(examples.collect())]
        }
        Count::Many => {
            let list = json!({ "type": "array", "items": one });
            vec![response(&named("list"), result(list))]
        }
        Count::Stream => {
            let id = result(json!({ "type": "string" }));
            vec![response("subscription", id), notified()]
        }
        Count::Unknown => vec![response("result", json!({})), notified()],
    }
}

fn response(name: &str, result: Value) -> Shape {
    let payload = object(json!({ "id": id(), "result": result }), &["id", "result"]);
    Shape::json(name, payload).with_id(true)
}

/// A message of a subscription, or its last one, which may be an error.
fn notified(name: String, method: &'static str, result: &Value) -> Shape {
    let error = error_object(json!({ "type": "string" }));
    let params = json!({
        "type": "object",
        "required": ["subscription"],
        "properties": { "subscription": { "type": "string" }, "result": result, "error": error },
        "anyOf": [{ "required": ["result"] }, { "required": ["error"] }],
    });
    let members = json!({ "method": { "const": method }, "params": params });
    Shape::json(name, object(members, &["method", "params"]))
}

pub(super) fn error(code: Value) -> Shape {
    let members = json!({ "id": id(), "error": error_object(code) });
    Shape::json("", object(members, &["id", "error"])).with_id(true)
}

fn error_object(code: Value) -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {
            "code": { "type": "integer" },
            "message": { "type": "string" },
            "data": {
                "type": "object",
                "required": ["code"],
                "properties": {
                    "code": code,
                    "retry_after_ms": { "type": "integer", "minimum": 0 },
                },
            },
        },
    })
}

fn object(mut members: Value, required: &[&str]) -> Value {
    members["jsonrpc"] = json!({ "const": "2.0" });
    let required = [&["jsonrpc"], required].concat();
    json!({ "type": "object", "required": required, "properties": members })
}

fn id() -> Value {
    json!({ "type": ["string", "number", "null"] })
}
