//! Messages of `graphql-transport-ws`.

use serde_json::{Value, json};

use super::{
    facts::ChannelFacts,
    keys::key_of,
    shapes::all_of,
    wire::{Given, Shape, Taken},
};
use crate::schema::{Count, Operation};

/// The key of operations without a name.
const UNNAMED: &str = "subscribe";

/// A `subscribe` of an operation with such a name.
pub(super) fn request(
    operation: &Operation,
    key: Option<&str>,
    taken: Taken,
    facts: &ChannelFacts,
) -> Shape {
    let may_be_unnamed = match (key, operation.prefix()) {
        (Some(key), _) => key == UNNAMED,
        (None, Some(prefix)) => UNNAMED.starts_with(prefix) && !is_named(facts),
        (None, None) => !is_named(facts),
    };
    let mut required = vec!["query"];
    let mut name = key_of(operation, key, facts);
    match may_be_unnamed {
        true if key.is_some() => name = json!({ "enum": [UNNAMED, "", null] }),
        true => name["type"] = json!(["string", "null"]),
        false => required.push("operationName"),
    }
    let query = json!({
        "type": "object",
        "required": required,
        "properties": {
            "query": { "type": "string" },
            "operationName": name,
            "variables": { "type": ["object", "null"] },
            "extensions": { "type": ["object", "null"] },
        },
    });
    let payload = all_of(vec![taken.message, query]);
    Shape::json("", message("subscribe", Some(payload))).with_id(true)
}

/// Whether a route names the key of operations without a name.
fn is_named(facts: &ChannelFacts) -> bool {
    let mut keys = facts.operations.iter().flat_map(Operation::keys);
    keys.any(|key| key == UNNAMED)
}

/// Results of an execution, and their end.
pub(super) fn replies(given: &Given) -> Vec<Shape> {
    let complete = Shape::json("complete", message("complete", None)).with_id(true);
    let (name, result) = match &given.schema {
        Some(schema) => (given.name.as_str(), schema.clone()),
        None => ("next", json!({ "type": "object" })),
    };
    let next = Shape::json(name, message("next", Some(result))).with_id(true);
    match given.count {
        Count::None => vec![complete],
        _ => vec![next, complete],
    }
}

pub(super) fn error(code: Value) -> Shape {
    let error = json!({
        "type": "object",
        "required": ["message", "extensions"],
        "properties": {
            "message": { "type": "string" },
            "extensions": {
                "type": "object",
                "required": ["code"],
                "properties": {
                    "code": code,
                    "retry_after_ms": { "type": "integer", "minimum": 0 },
                },
            },
        },
    });
    let errors = json!({ "type": "array", "items": error });
    Shape::json("", message("error", Some(errors))).with_id(true)
}

fn message(kind: &str, payload: Option<Value>) -> Value {
    let mut message = json!({
        "type": "object",
        "required": ["id", "type"],
        "properties": {
            "id": { "type": "string", "minLength": 1 },
            "type": { "const": kind },
        },
    });
    if let Some(payload) = payload {
        message["required"] = json!(["id", "type", "payload"]);
        message["properties"]["payload"] = payload;
    }
    message
}
