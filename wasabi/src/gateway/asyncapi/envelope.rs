//! How a channel's messages surround what functions take and answer.

use serde_json::{Value, json};

use super::{
    examples,
    facts::ChannelFacts,
    graphql_ws, json_rpc,
    keys::key_of,
    shapes::{all_of, merged, nested, request_id},
    wire::{BINARY, Given, JSON, Shape, TEXT, Taken},
};
use crate::{
    ErrorFormat,
    schema::{Count, Form, Language, Operation, Source},
};

/// A request with this key, or with any other that leads there.
pub(super) fn request(
    operation: &Operation,
    key: Option<&str>,
    taken: Taken,
    facts: &ChannelFacts,
) -> Shape {
    match facts.places.language {
        Language::Raw | Language::Own => plain(key, taken, facts),
        Language::Json => {
            let envelope = keyed(operation, key, &taken, facts);
            // Others lead here as well.
            let is_other = key.is_none_or(|key| facts.places.not_json == Some(key));
            let is_json = !(is_other && operation.takes_not_json());
            let examples = taken.examples.into_iter();
            let examples = examples.filter_map(|example| examples::keyed(example, key, facts));
            let shape = Shape::json("", all_of(vec![taken.message, envelope]));
            Shape {
                content_type: shape.content_type.filter(|_| is_json),
                ..shape.with_id(true).with_examples(examples.collect())
            }
        }
        Language::JsonRpc { .. } => json_rpc::request(key, key_of(operation, key, facts), taken),
        Language::GraphqlWs => graphql_ws::request(operation, key, taken, facts),
        Language::Decoded | Language::Unknown => Shape::undescribed(),
    }
}

/// A message that is what functions take.
fn plain(key: Option<&str>, taken: Taken, facts: &ChannelFacts) -> Shape {
    let takes = |source| taken.sources.contains(&source);
    let is_raw = facts.places.language == Language::Raw;
    let content_type = match key {
        _ if takes(Source::Json) => Some(JSON),
        _ if takes(Source::Text) => Some(TEXT),
        _ if takes(Source::Binary) => Some(BINARY),
        Some("text") if is_raw => Some(TEXT),
        Some("binary") if is_raw => Some(BINARY),
        _ => None,
    };
    let payload = match content_type {
        Some(TEXT) => json!({ "type": "string" }),
        _ => taken.message,
    };
    Shape {
        content_type,
        ..Shape::json("", payload).with_examples(taken.examples)
    }
}

/// The key and the id in a request.
fn keyed(operation: &Operation, key: Option<&str>, taken: &Taken, facts: &ChannelFacts) -> Value {
    let places = &facts.places;
    let is_default = operation.takes_keyless() && key.is_none_or(|key| places.or == Some(key));
    let key = places
        .key
        .as_ref()
        .map(|at| nested(at, &key_of(operation, key, facts), !is_default));
    let id = places
        .id
        .as_ref()
        .map(|at| nested(at, &request_id(), taken.needs_id));
    let parts = key.into_iter().chain(id);
    parts.reduce(merged).unwrap_or_else(|| json!({}))
}

/// The messages that a reply may consist of, errors aside.
pub(super) fn replies(given: &Given, facts: &ChannelFacts) -> Vec<Shape> {
    if given.count == Count::OnlyErrors {
        return Vec::new();
    }
    match facts.places.language {
        Language::JsonRpc { notification, .. } => json_rpc::replies(given, notification),
        Language::GraphqlWs => graphql_ws::replies(given),
        Language::Decoded | Language::Unknown => vec![Shape::undescribed()],
        Language::Raw | Language::Json | Language::Own => match given.count {
            Count::None => Vec::new(),
            _ => vec![plain_reply(given)],
        },
    }
}

/// A message that is what a function answers.
pub(super) fn plain_reply(given: &Given) -> Shape {
    let of = |name: &str, content_type, payload: Value| Shape {
        content_type: Some(content_type),
        ..Shape::json(name, payload)
    };
    match (given.form, &given.schema) {
        (_, Some(schema)) => Shape::json(&given.name, schema.clone())
            .with_id(given.has_id)
            .with_examples(given.examples.clone()),
        (Form::Text, None) => of("text", TEXT, json!({ "type": "string" })),
        (Form::Binary, None) => of("binary", BINARY, json!({})),
        (Form::Json | Form::Unknown, None) => Shape::undescribed(),
    }
}

/// An error with one of these codes; `None` if none is sent.
pub(super) fn error(code: Value, facts: &ChannelFacts) -> Option<Shape> {
    let language = facts.places.language;
    match language {
        Language::JsonRpc { .. } => return Some(json_rpc::error(code)),
        Language::GraphqlWs => return Some(graphql_ws::error(code)),
        _ => {}
    }
    Some(match &facts.errors {
        ErrorFormat::Silent => return None,
        ErrorFormat::Json(format) => {
            let error = json!({
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": code,
                    "message": { "type": "string" },
                    "retry_after_ms": { "type": "integer", "minimum": 0 },
                },
            });
            let error = json!({ "type": "object", "required": ["error"], "properties": { "error": error } });
            let reads_ids = match language {
                Language::Json => facts.places.id.is_some(),
                Language::Raw => false,
                _ => true,
            };
            if !reads_ids {
                return Some(Shape::json("", error));
            }
            // A parser of the application may take any text for an id.
            let id = match language {
                Language::Json => request_id(),
                _ => json!({}),
            };
            let place = format.place_of_id();
            let payload = merged(error, nested(place, &id, false));
            Shape::json("", payload).with_id(facts.places.id.as_deref() == Some(place))
        }
        ErrorFormat::Text => Shape {
            content_type: Some(TEXT),
            ..Shape::json("", json!({ "type": "string", "pattern": ": " }))
        },
        ErrorFormat::With(_) => Shape::undescribed(),
    })
}
