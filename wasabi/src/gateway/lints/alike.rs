//! Messages of `sends` that no client can tell apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Schema;
use crate::{channel::Sent, gateway::asyncapi::ChannelFacts, schema::Form};

/// How deep a type is looked into.
const DEPTH: usize = 16;

/// What every value of a type consists of, if that is nothing that an application could tell messages apart by: no text,
/// no integer, no choice, and nothing that may be left out.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Number,
    List(Box<Self>),
    Object(BTreeMap<String, Self>),
}

/// Pairs of messages that clients get unasked, and that consist of numbers at the same places.
pub(super) fn mistakes(facts: &ChannelFacts) -> Vec<String> {
    let shapes = facts
        .sends
        .iter()
        .filter_map(|sent| Some((sent, of(sent)?)));
    let shapes: Vec<_> = shapes.collect();
    let mut mistakes = Vec::new();
    for (at, (sent, shape)) in shapes.iter().enumerate() {
        let mut before = shapes[..at].iter();
        if let Some((other, _)) = before.find(|(_, other)| other == shape) {
            mistakes.push(format!(
                "clients cannot tell `{}` of `sends` from `{}`, because they have the same members, and nothing but numbers in them: make them variants of one enum with `#[serde(tag = \"..\")]`, or give each a member with its name",
                sent.name, other.name
            ));
        }
    }
    mistakes
}

fn of(sent: &Sent) -> Option<Shape> {
    let output = sent.output.clone().of(sent.schema);
    let schema = (output.form == Form::Json).then(|| output.schema())??;
    shape(Schema::of(&schema), DEPTH)
}

fn shape(schema: Schema<'_>, depth: usize) -> Option<Shape> {
    let depth = depth.checked_sub(1)?;
    let schema = schema.resolved()?;
    let part = schema.part.as_object()?;
    if let Some([of]) = part
        .get("allOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        return shape(schema.within(of), depth);
    }
    let says_more = [
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "enum",
        "const",
        "additionalProperties",
        "patternProperties",
    ];
    // Objects that are closed say no more.
    let mut more = says_more.iter().filter_map(|word| part.get(*word));
    if more.any(|value| *value != Value::Bool(false)) {
        return None;
    }
    match part.get("type")?.as_str()? {
        "number" => Some(Shape::Number),
        "array" => {
            let item = part.get("items").filter(|items| items.is_object())?;
            Some(Shape::List(Box::new(shape(schema.within(item), depth)?)))
        }
        "object" => {
            let members = part.get("properties").and_then(Value::as_object);
            let required = part.get("required").and_then(Value::as_array);
            let is_required = |name: &String| {
                let mut names = required.into_iter().flatten();
                names.any(|required| required == name)
            };
            let members = members.into_iter().flatten().map(|(name, member)| {
                let shape = shape(schema.within(member), depth).filter(|_| is_required(name))?;
                Some((name.clone(), shape))
            });
            Some(Shape::Object(members.collect::<Option<_>>()?))
        }
        _ => None,
    }
}
