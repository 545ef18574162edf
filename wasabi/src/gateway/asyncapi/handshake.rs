//! The handshake of a channel.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    facts::ChannelFacts,
    schemas::{Schemas, members_of},
    shapes::any_of,
};
use crate::schema::{HandshakePart, Input, Operation, Security, Source};

/// The parameters of the path. AsyncAPI has no schemas for them: what functions read from them is an extension.
pub(super) fn parameters(facts: &ChannelFacts, schemas: &mut Schemas) -> Map<String, Value> {
    let pieces = facts
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let names: Vec<_> = pieces.map(|name| name.trim_start_matches('*')).collect();
    let mut read = Map::new();
    for input in inputs(facts, Source::Path) {
        for (name, schema) in values(input, &names, schemas) {
            add(&mut read, name, schema);
        }
    }
    let described = names.iter().map(|name| {
        let mut parameter = json!({ "description": format!("`{{{name}}}` of the path.") });
        if let Some(schema) = read.remove(*name) {
            parameter["x-wasabi"] = json!({ "schema": schema });
        }
        ((*name).to_owned(), parameter)
    });
    described.collect()
}

/// What an argument reads from the path: by name, by position, or the only parameter.
fn values(input: &Input, names: &[&str], schemas: &mut Schemas) -> Vec<(String, Value)> {
    let (whole, own) = match (input.schema_fn(), input.traced()) {
        (Some(schema), _) => (schemas.input(schema), schemas.resolved(schema)),
        (None, Some(traced)) => (traced.clone(), traced),
        (None, None) => return Vec::new(),
    };
    if let Some(elements) = own["items"].as_array() {
        let elements = names.iter().zip(elements);
        return elements
            .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
            .collect();
    }
    match (own["type"].as_str(), names) {
        (Some("object"), _) => members_of(own).into_iter().collect(),
        (Some("array"), _) => Vec::new(),
        (_, [name]) => vec![((*name).to_owned(), whole)],
        _ => Vec::new(),
    }
}

/// The arguments of the channel's functions from this source.
fn inputs(facts: &ChannelFacts, source: Source) -> impl Iterator<Item = &Input> {
    let answers = facts.operations.iter().flat_map(Operation::answers);
    let inputs = answers.flat_map(|answers| &answers.inputs);
    inputs.filter(move |input| input.source == source)
}

/// Adds a value that one function reads, perhaps as another type than others.
fn add(known: &mut Map<String, Value>, name: String, schema: Value) {
    known
        .entry(name)
        .and_modify(|known| {
            if *known != schema {
                *known = any_of(vec![known.take(), schema.clone()]);
            }
        })
        .or_insert(schema);
}

/// The binding, with the parameters of the query and the headers that are known. Those are required that an upstream requires:
/// without what a function reads, only its messages fail.
pub(in crate::gateway) fn binding(facts: &ChannelFacts, schemas: &mut Schemas) -> Value {
    let mut parameters = Map::new();
    let ways = facts.logins.iter().flat_map(|login| &login.any_of);
    for way in ways {
        if let Security::Query(name) = way {
            add(&mut parameters, name.clone(), json!({ "type": "string" }));
        }
    }
    for input in inputs(facts, Source::Query) {
        for (name, schema) in members(input, schemas) {
            add(&mut parameters, name, schema);
        }
    }
    let mut headers = Map::new();
    let (mut required_parameters, mut required_headers) = (BTreeSet::new(), BTreeSet::new());
    let answers = facts.operations.iter().flat_map(Operation::answers);
    for passed in answers.flat_map(|answers| &answers.passed_on) {
        let (known, required) = match passed.part {
            HandshakePart::Query => (&mut parameters, &mut required_parameters),
            HandshakePart::Header => (&mut headers, &mut required_headers),
        };
        let text = || json!({ "type": "string" });
        known.entry(passed.name.clone()).or_insert_with(text);
        if passed.is_required {
            required.insert(&*passed.name);
        }
    }
    let mut binding = json!({ "method": "GET", "bindingVersion": "0.1.0" });
    for (part, known, required) in [
        ("query", parameters, required_parameters),
        ("headers", headers, required_headers),
    ] {
        if !known.is_empty() {
            binding[part] = json!({ "type": "object", "properties": known });
            if !required.is_empty() {
                binding[part]["required"] = json!(required);
            }
        }
    }
    binding
}

fn members(input: &Input, schemas: &mut Schemas) -> Map<String, Value> {
    match (input.schema_fn(), input.traced()) {
        (Some(schema), _) => members_of(schemas.resolved(schema)),
        (None, Some(traced)) => members_of(traced),
        (None, None) => Map::new(),
    }
}
