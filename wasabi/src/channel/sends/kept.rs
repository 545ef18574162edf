//! What members of kept groups get, where the gateway itself writes it.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::Sent;
use crate::{
    Kept,
    backend::member,
    schema::{Form, Output, SchemaFn},
};

/// The messages of a channel with these groups.
pub(crate) fn of_groups(groups: &[Kept]) -> Vec<Sent> {
    let mut sends = Vec::new();
    if groups.iter().any(Kept::is_enveloped) {
        let docs = "A message of a group that the client is in, with its position.";
        sends.push(sent::<Published>("published", docs, published));
        let docs =
            "Messages of a group are lost.\nThe client fetches the state from the application.";
        sends.push(sent::<Gap>("gap", docs, gap));
    }
    if groups.iter().any(Kept::is_announced) {
        let docs = "Who has come to a group, and who has gone.";
        sends.push(sent::<Presence>("presence", docs, presence));
    }
    sends
}

// Types by whose names they are known.
struct Published;
struct Gap;
struct Presence;

fn sent<T>(name: &str, docs: &str, schema: SchemaFn) -> Sent {
    Sent {
        name: name.to_owned(),
        docs: docs.to_owned(),
        output: Output::new::<T>(Form::Json),
        schema: Some(schema),
    }
}

fn published(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["group", "position"],
        "properties": {
            "group": { "type": "string" },
            "position": { "type": "string" },
            "data": { "description": "JSON as it was published, or text as a string." },
            "base64": { "type": "string", "description": "A binary message." },
        },
        "anyOf": [{ "required": ["data"] }, { "required": ["base64"] }],
        "additionalProperties": false,
    })
}

fn gap(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["group", "gap"],
        "properties": { "group": { "type": "string" }, "gap": { "type": "boolean", "const": true } },
        "additionalProperties": false,
    })
}

fn presence(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["group"],
        "properties": {
            "group": { "type": "string" },
            "joined": { "type": "array", "items": member(), "description": "These are members." },
            "left": {
                "type": "array",
                "items": { "type": "string" },
                "description": "These are no members: the `connection` of each.",
            },
            "gone": {
                "type": "string",
                "description": "All are gone whose `connection` begins with this.",
            },
            "unsure": { "type": "boolean", "const": true, "description": "Ask who is there." },
        },
        "anyOf": [
            { "required": ["joined"] },
            { "required": ["left"] },
            { "required": ["gone"] },
            { "required": ["unsure"] },
        ],
        "additionalProperties": false,
    })
}
