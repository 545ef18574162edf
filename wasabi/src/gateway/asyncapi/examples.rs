//! Examples of messages, made of those of their types: `#[schemars(example = ..)]`.

use serde_json::{Value, json};

use super::facts::ChannelFacts;
use crate::schema::{Operation, Source};

/// The examples of a schema.
pub(super) fn of(schema: Option<Value>) -> Vec<Value> {
    // The schema of anything is `true`.
    match schema.as_ref().map(|schema| &schema["examples"]) {
        Some(Value::Array(examples)) => examples.clone(),
        _ => Vec::new(),
    }
}

/// The examples of what the functions take from this source. Where a message has several types, an example of one of them
/// is none of the whole.
pub(super) fn taken(operation: &Operation, source: Source) -> Vec<Value> {
    let answers = operation.answers().iter();
    let examples = answers.flat_map(|answers| {
        let mut inputs = answers.inputs.iter().filter(|input| input.source == source);
        match (inputs.next(), inputs.next()) {
            (Some(input), None) => of(input.schema()),
            _ => Vec::new(),
        }
    });
    let mut different: Vec<Value> = Vec::new();
    for example in examples {
        if !different.contains(&example) {
            different.push(example);
        }
    }
    different
}

/// An example with key and id at their places. `None` if it cannot have this key.
pub(super) fn keyed(mut example: Value, key: Option<&str>, facts: &ChannelFacts) -> Option<Value> {
    let places = &facts.places;
    if let Some(at) = &places.key {
        let key = key?;
        if *place(&mut example, at, key.into())? != key {
            return None;
        }
    }
    if let Some(at) = &places.id {
        place(&mut example, at, json!(1))?;
    }
    Some(example)
}

/// What is at a JSON pointer, which is this if there was nothing. `None` if nothing can be there.
fn place<'a>(example: &'a mut Value, pointer: &str, value: Value) -> Option<&'a Value> {
    let tokens = wasabi_rules::pointer(pointer).unwrap_or_default();
    let mut names = tokens.into_iter().map(|token| token.name).peekable();
    let mut at = example;
    while let Some(name) = names.next() {
        let Value::Object(members) = at else {
            return None;
        };
        let is_last = names.peek().is_none();
        at = members
            .entry(&*name)
            .or_insert_with(|| if is_last { value.clone() } else { json!({}) });
    }
    Some(at)
}
