//! What clients ask [`Subscriptions`](super::Subscriptions), and what they get, as schemas.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::Ask;
use crate::schema::{Answers, Codes, Count, Form, Input, Output, Source};

/// The type of the answers, by whose name documents call them.
struct Followed;

/// What is known of the route.
pub(super) fn answers<B: ?Sized>() -> Answers {
    // The function fails with errors of its own.
    let codes = Codes::of(&["bad_request", "not_followed", "not_kept", "too_many_groups"]);
    let input = Input::read::<Ask>(Source::Json, &["bad_request"]).of(Some(ask));
    let output = Output::new::<Followed>(Form::Json).times(Count::Stream);
    Answers::following::<B>(input, output.of(Some(answer)), codes.or_others())
}

fn ask(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["group"],
        "properties": {
            "group": { "type": "string", "description": "The name of the group." },
            "since": {
                "type": ["string", "null"],
                "description": "The position of the last message that the client has: what it has missed follows.",
            },
            "follow": { "type": ["boolean", "null"], "description": "False: it follows the group no more." },
            "who": { "type": "boolean", "description": "True: who is there?" },
            "after": { "type": ["string", "null"], "description": "Those after the answer that had this as `next`." },
        },
    })
}

fn answer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            {
                "type": "object",
                "description": "The client follows the group. If it is recovered, what was missed follows.",
                "required": ["group", "recovered", "position", "missed"],
                "properties": {
                    "group": { "type": "string" },
                    "recovered": { "type": "boolean" },
                    "position": { "type": "string" },
                    "missed": { "type": "integer", "minimum": 0 },
                },
            },
            {
                "type": "object",
                "description": "The client follows the group no more, if it did.",
                "required": ["group", "unfollowed"],
                "properties": { "group": { "type": "string" }, "unfollowed": { "type": "boolean" } },
            },
            {
                "type": "object",
                "description": "Who is there.",
                "required": ["group", "members", "total", "complete"],
                "properties": {
                    "group": { "type": "string" },
                    "members": { "type": "array", "items": member() },
                    "total": { "type": "integer", "minimum": 0 },
                    "complete": { "type": "boolean" },
                    "next": { "type": "string" },
                },
            },
        ],
    })
}

/// A member of a group, as [`Member`](crate::Member) is written.
pub(crate) fn member() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["connection"],
        "properties": { "connection": { "type": "string" }, "user": { "type": "string" }, "info": {} },
    })
}
