//! What a JSON Schema says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::gateway::{asyncapi::schemas::READ, clients::pool::Known};

/// The name of the definition that a schema refers to.
pub(super) fn definition(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(READ)
}

/// Whether a schema has parts besides what it says itself. Forms that only require some of its members are none.
pub(super) fn is_more(schema: &Value) -> bool {
    let requires = |form: &Value| {
        let words = form.as_object().into_iter().flatten();
        words.map(|(word, _)| word).eq(["required"])
    };
    ["anyOf", "oneOf", "allOf", "$ref"]
        .iter()
        .filter_map(|word| schema.get(word))
        .any(|parts| !parts.as_array().is_some_and(|all| all.iter().all(requires)))
}

/// The members of what is an object and nothing else.
pub(super) fn members(schema: &Value) -> Option<&Map<String, Value>> {
    let is_value = ["enum", "const"]
        .iter()
        .any(|word| schema.get(word).is_some());
    let is_object = schema["type"] == "object" && !is_value && !is_more(schema);
    let members = schema["properties"].as_object()?;
    (is_object && !members.is_empty()).then_some(members)
}

/// Whether an object may have members that the schema does not name, and that mean something: those of a flattened map.
pub(super) fn has_others(schema: &Value) -> bool {
    let others = &schema["additionalProperties"];
    others == true || others.is_object() || schema["patternProperties"].is_object()
}

pub(super) fn required(schema: &Value) -> BTreeSet<&str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// What a schema is besides `null`, if it may be that.
pub(super) fn nullable(schema: &Value) -> Option<Value> {
    let mut rest = schema.clone();
    let is_null = |form: &Value| form["type"] == "null" || *form == "null";
    for word in ["anyOf", "oneOf", "type"] {
        let Some(forms) = rest[word].as_array() else {
            continue;
        };
        let mut others: Vec<_> = forms
            .iter()
            .filter(|form| !is_null(form))
            .cloned()
            .collect();
        if others.len() == forms.len() || others.is_empty() {
            continue;
        }
        match (others.len(), word) {
            (1, "type") => rest["type"] = others.remove(0),
            (1, _) => rest = others.remove(0),
            _ => rest[word] = Value::Array(others),
        }
        return Some(rest);
    }
    None
}

pub(super) fn integer(schema: &Value) -> &'static str {
    match schema["format"].as_str() {
        Some("int8") => "i8",
        Some("int16") => "i16",
        Some("int32") => "i32",
        Some("int128") => "i128",
        Some("uint8") => "u8",
        Some("uint16") => "u16",
        Some("uint32") => "u32",
        Some("uint64" | "uint") => "u64",
        Some("uint128") => "u128",
        _ => "i64",
    }
}

/// Whether a schema contains a definition, somewhere.
pub(super) fn contains(known: &Known, schema: &Value, definition: &str) -> bool {
    let mut found = BTreeSet::new();
    let mut next = vec![schema];
    while let Some(schema) = next.pop() {
        match schema {
            Value::Object(members) => {
                next.extend(members.values());
                let new = self::definition(schema).filter(|name| found.insert(*name));
                next.extend(new.and_then(|name| known.definitions.get(name)));
            }
            Value::Array(items) => next.extend(items),
            _ => {}
        }
    }
    found.contains(definition)
}

/// Takes a member out of an object, and the objects that it was all of.
pub(super) fn without(known: &Known, schema: &mut Value, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let Some(members) = schema["properties"].as_object_mut() else {
        return;
    };
    if let Some(member) = members.get_mut(name)
        && !rest.is_empty()
    {
        *member = known.resolve(member).clone();
        without(known, member, rest);
        if member["properties"]
            .as_object()
            .is_some_and(|inner| !inner.is_empty())
        {
            return;
        }
    }
    members.remove(name);
}

/// What a comment says of a schema.
pub(super) fn docs(schema: &Value) -> Vec<String> {
    vec![
        schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    ]
}
