//! A channel with its messages and operations.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Parts, close_codes,
    facts::{ChannelFacts, codes, is_refusal, name, target},
    handshake, logins,
    message::{Messages, Written},
    names::Names,
    schemas::Schemas,
};
use crate::{
    ErrorFormat,
    channel::Sent,
    schema::{Count, Language, Operation},
};

pub(super) fn write(
    id: &str,
    facts: &ChannelFacts,
    schemas: &mut Schemas,
    parts: &mut Parts,
) -> Value {
    let logins = logins::write(&facts.logins, parts);
    let mut messages = Messages::new(facts, parts);
    let mut operations = Names::default();
    let mut otherwise = Vec::new();
    let reached = facts
        .operations
        .iter()
        .filter(|each| !each.is_unreachable());
    for operation in reached {
        if is_refusal(operation) {
            otherwise.push(json!({ "route": operation.route(), "errors": ["no_route"] }));
            continue;
        }
        let written = messages.write(operation, facts, schemas);
        let name = format!("{id}.{}", operations.unused(&name(operation)));
        let described = describe_operation(id, operation, &written, logins.of(operation));
        parts.operations.insert(name, described);
    }
    for sent in &facts.sends {
        let (message, notes) = messages.sent(sent, facts, schemas);
        let name = format!("{id}.{}", operations.unused(&sent.name));
        let described = describe_sent(id, sent, &message, &notes);
        parts.operations.insert(name, described);
    }
    let mut channel = json!({ "address": facts.path.replace("{*", "{") });
    summary(&mut channel, facts.docs);
    let parameters = handshake::parameters(facts, schemas);
    if !parameters.is_empty() {
        channel["parameters"] = parameters.into();
    }
    channel["bindings"] = json!({ "ws": handshake::binding(facts, schemas) });
    channel["messages"] = messages.finish(facts).into();
    channel["x-wasabi"] = more(facts, &otherwise);
    if !logins.all.is_empty() {
        channel["x-wasabi"]["logins"] = logins.all.into();
    }
    channel
}

/// What AsyncAPI has no place for.
fn more(facts: &ChannelFacts, otherwise: &[Value]) -> Value {
    let mut more = json!({
        "limits": facts.limits.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>(),
        "closeCodes": close_codes::of(facts),
    });
    if let Language::JsonRpc { max_batch, .. } = facts.places.language {
        more["limits"]["max_batch"] = json!(max_batch);
    }
    let lists: [(&str, Value); 6] = [
        ("protocol", json!(protocol(facts.places.language))),
        ("key", json!(facts.places.key)),
        ("id", json!(facts.places.id)),
        ("http", json!(facts.http)),
        ("subprotocols", json!(facts.subprotocols)),
        ("otherwise", json!(otherwise)),
    ];
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    for (name, value) in lists.into_iter().filter(|(_, value)| !is_empty(value)) {
        more[name] = value;
    }
    let unreadable = &facts.places.codes;
    let has_some = unreadable.is_open() || unreadable.known().next().is_some();
    if has_some && !matches!(facts.errors, ErrorFormat::Silent) {
        more["unreadable"] = codes(unreadable);
    }
    more
}

/// The name of a protocol that is a standard.
fn protocol(language: Language) -> Option<&'static str> {
    match language {
        Language::JsonRpc { .. } => Some("JSON-RPC 2.0"),
        Language::GraphqlWs => Some("graphql-transport-ws"),
        Language::Raw | Language::Json | Language::Own | Language::Decoded | Language::Unknown => {
            None
        }
    }
}

fn describe_operation(
    id: &str,
    operation: &Operation,
    written: &Written,
    security: &[Value],
) -> Value {
    let message = |name: &String| json!({ "$ref": format!("#/channels/{id}/messages/{name}") });
    let counts: BTreeSet<_> = operation
        .answers()
        .iter()
        .map(|answers| count(answers.output.count))
        .collect();
    let targets: Vec<_> = operation.answers().iter().map(target).collect();
    let mut more = json!({
        "route": operation.route(),
        "target": targets,
        "replies": counts,
        "errors": codes(&operation.codes()),
    });
    if !operation.middleware().is_empty() {
        more["middleware"] = json!(operation.middleware());
    }
    if !written.notes.is_empty() {
        more["notes"] = json!(written.notes);
    }
    let mut described = json!({
        "action": "receive",
        "channel": { "$ref": format!("#/channels/{id}") },
        "messages": written.requests.iter().map(message).collect::<Vec<_>>(),
        "x-wasabi": more,
    });
    summary(&mut described, operation.docs());
    if !written.replies.is_empty() {
        described["reply"] = json!({
            "channel": { "$ref": format!("#/channels/{id}") },
            "messages": written.replies.iter().map(message).collect::<Vec<_>>(),
        });
    }
    if !security.is_empty() {
        described["security"] = json!(security);
    }
    described
}

/// A message that is sent unasked.
fn describe_sent(id: &str, sent: &Sent, message: &str, notes: &[String]) -> Value {
    let mut described = json!({
        "action": "send",
        "channel": { "$ref": format!("#/channels/{id}") },
        "messages": [{ "$ref": format!("#/channels/{id}/messages/{message}") }],
    });
    summary(&mut described, &sent.docs);
    if !notes.is_empty() {
        described["x-wasabi"] = json!({ "notes": notes });
    }
    described
}

/// The first line of a comment, and all of it if it has more.
pub(super) fn summary(value: &mut Value, docs: &str) {
    let docs = docs.trim();
    let Some(first) = docs.lines().next() else {
        return;
    };
    value["summary"] = json!(first.trim());
    if docs.lines().nth(1).is_some() {
        value["description"] = json!(docs);
    }
}

fn count(count: Count) -> &'static str {
    match count {
        Count::None => "none",
        Count::OnlyErrors => "only errors",
        Count::One => "one",
        Count::AtMostOne => "at most one",
        Count::Many => "any number",
        Count::Stream => "stream",
        Count::Unknown => "unknown",
    }
}
