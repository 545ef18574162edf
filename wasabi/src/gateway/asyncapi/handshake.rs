//! The handshake of a channel.

use serde_json::{Map, Value, json};

use super::{
    facts::ChannelFacts,
    schemas::{Schemas, members_of},
    shapes::any_of,
};
use crate::schema::{Input, Operation, Security, Source};

/// The parameters of the path.
pub(super) fn parameters(facts: &ChannelFacts) -> Map<String, Value> {
    let pieces = facts
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let names = pieces.map(|name| name.trim_start_matches('*'));
    names
        .map(|name| {
            let description = format!("`{{{name}}}` of the path.");
            (name.to_owned(), json!({ "description": description }))
        })
        .collect()
}

/// The binding, with the parameters of the query. None is required: a message whose function cannot read them fails, and no
/// other.
pub(in crate::gateway) fn binding(facts: &ChannelFacts, schemas: &mut Schemas) -> Value {
    let mut parameters = Map::<String, Value>::new();
    let mut add = |name: String, schema: Value| {
        let parameter = parameters.entry(name);
        parameter
            .and_modify(|known| {
                if *known != schema {
                    *known = any_of(vec![known.take(), schema.clone()]);
                }
            })
            .or_insert(schema);
    };
    let ways = facts.logins.iter().flat_map(|login| &login.any_of);
    for way in ways {
        if let Security::Query(name) = way {
            add(name.clone(), json!({ "type": "string" }));
        }
    }
    let answers = facts.operations.iter().flat_map(Operation::answers);
    let inputs = answers.flat_map(|answers| &answers.inputs);
    for input in inputs.filter(|input| input.source == Source::Query) {
        for (name, schema) in members(input, schemas) {
            add(name, schema);
        }
    }
    let mut binding = json!({ "method": "GET", "bindingVersion": "0.1.0" });
    if !parameters.is_empty() {
        binding["query"] = json!({ "type": "object", "properties": parameters });
    }
    binding
}

fn members(input: &Input, schemas: &mut Schemas) -> Map<String, Value> {
    match (input.schema_fn(), input.traced()) {
        (Some(schema), _) => schemas.members(schema),
        (None, Some(mut traced)) => members_of(&mut traced),
        (None, None) => Map::new(),
    }
}
