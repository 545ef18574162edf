//! Schemas made of others.

use serde_json::{Map, Value, json};

/// The schema of objects that have both.
pub(super) fn merged(mut one: Value, other: Value) -> Value {
    let names = |schema: &Value| -> Vec<String> {
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, _)| name.clone()).collect()
    };
    if names(&other).iter().any(|name| names(&one).contains(name)) {
        return all_of(vec![one, other]);
    }
    for (name, schema) in other["properties"].as_object().into_iter().flatten() {
        one["properties"][name] = schema.clone();
    }
    let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
    let both = [required(&one), required(&other)].concat();
    if !both.is_empty() {
        one["required"] = both.into();
    }
    one
}

pub(super) fn request_id() -> Value {
    json!({ "type": ["string", "number"] })
}

/// A text as a regular expression.
pub(super) fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if !c.is_alphanumeric() && c.is_ascii() && !matches!(c, ' ' | '_' | '-' | ':' | '/' | '@') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The schema of an object that has this at a JSON pointer. If it need not, what has it elsewhere or is no object fits too.
pub(super) fn nested(pointer: &str, schema: &Value, is_required: bool) -> Value {
    let tokens = wasabi_rules::pointer(pointer).unwrap_or_default();
    let names = tokens.into_iter().map(|token| token.name);
    names
        .rev()
        .filter(|name| !name.is_empty())
        .fold(schema.clone(), |inner, name| {
            let properties = Map::from_iter([(name.to_string(), inner)]);
            match is_required {
                true => json!({ "type": "object", "properties": properties, "required": [name] }),
                false => json!({ "properties": properties }),
            }
        })
}

/// Whether a schema says nothing.
fn is_anything(schema: &Value) -> bool {
    schema.as_object().is_some_and(Map::is_empty)
}

pub(super) fn all_of(mut schemas: Vec<Value>) -> Value {
    schemas.retain(|schema| !is_anything(schema));
    match schemas.len() {
        0 => json!({}),
        1 => schemas.remove(0),
        _ => json!({ "allOf": schemas }),
    }
}

pub(super) fn any_of(mut schemas: Vec<Value>) -> Value {
    schemas.dedup();
    match schemas.len() {
        _ if schemas.iter().any(is_anything) => json!({}),
        0 => json!({}),
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    }
}
