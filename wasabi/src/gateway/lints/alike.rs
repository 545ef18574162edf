//! Messages of `sends` that no client can tell apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Schema;
use crate::{channel::Sent, gateway::asyncapi::ChannelFacts, schema::Form};

/// How deep a type is looked into.
const DEPTH: usize = 16;

/// The words of schemas of which a shape says everything.
const SHAPES: [&str; 4] = ["items", "properties", "required", "type"];

/// Those that say nothing of values.
const NOTES: [&str; 12] = [
    "$comment",
    "$defs",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

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
            let why = match shape {
                Shape::Object(members) if members.is_empty() => "neither has a member",
                Shape::Object(_) => {
                    "they have the same members, and nothing but floating-point numbers in them"
                }
                Shape::Number | Shape::List(_) => "both are nothing but floating-point numbers",
            };
            mistakes.push(format!(
                "clients cannot tell `{}` of `sends` from `{}`, because {why}: make them variants of one enum with `#[serde(tag = \"..\")]`, or give each a member with its name",
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
    let is_note = |word: &String| NOTES.contains(&word.as_str());
    // What stands beside a reference may tell values apart.
    let stated = schema.part.as_object()?;
    if stated.contains_key("$ref") && !stated.keys().all(|word| word == "$ref" || is_note(word)) {
        return None;
    }
    let schema = schema.resolved()?;
    let part = schema.part.as_object()?;
    if let Some([of]) = part
        .get("allOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        let is_all = part.keys().all(|word| word == "allOf" || is_note(word));
        return shape(schema.within(of), depth).filter(|_| is_all);
    }
    // An object that is closed says no more. Any other word may tell values apart: a range, a length, a choice.
    let is_known = |(word, value): (&String, &Value)| match word.as_str() {
        "additionalProperties" => *value == Value::Bool(false),
        shape => SHAPES.contains(&shape) || is_note(word),
    };
    if !part.iter().all(is_known) {
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
            let required: BTreeSet<_> = required
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let is_closed = part.contains_key("additionalProperties");
            if members.is_none_or(Map::is_empty) && !is_closed {
                return None; // It may be any object.
            }
            let members = members.into_iter().flatten().map(|(name, member)| {
                let shape = shape(schema.within(member), depth)?;
                Some((name.clone(), shape))
            });
            let members: BTreeMap<_, _> = members.collect::<Option<_>>()?;
            let is_exact = members.keys().map(String::as_str).eq(required);
            is_exact.then_some(Shape::Object(members))
        }
        _ => None,
    }
}
