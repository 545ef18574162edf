//! JSON Schemas as types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::text::{comment, member};
use crate::gateway::{
    asyncapi::schemas::READ,
    clients::names::{camel, unused},
};

/// The names of the definitions.
pub(super) struct Types {
    names: BTreeMap<String, String>,
}

/// A type as text.
#[derive(Clone)]
pub(super) struct Type {
    pub(super) text: String,
    /// Whether it is several, which need parentheses inside of others.
    is_compound: bool,
}

impl Type {
    pub(super) fn one(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_compound: false,
        }
    }

    fn inside(&self) -> String {
        match self.is_compound {
            true => format!("({})", self.text),
            false => self.text.clone(),
        }
    }

    pub(super) fn list(&self) -> Self {
        Self::one(format!("{}[]", self.inside()))
    }

    /// Any of them.
    pub(super) fn any_of(types: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = Vec::new();
        for one in types {
            if one.text == "unknown" {
                return one;
            }
            if one.text != "never" && all.iter().all(|other| other.text != one.text) {
                all.push(one);
            }
        }
        Self::joined(all, " | ", "never")
    }

    /// All of them at once.
    pub(super) fn all_of(types: impl IntoIterator<Item = Self>) -> Self {
        let types = types.into_iter();
        let types = types.filter(|one| one.text != "unknown").collect();
        Self::joined(types, " & ", "unknown")
    }

    fn joined(mut types: Vec<Self>, with: &str, none: &str) -> Self {
        match types.len() {
            0 => Self::one(none),
            1 => types.remove(0),
            _ => {
                let texts: Vec<_> = types.iter().map(Self::inside).collect();
                Self {
                    text: texts.join(with),
                    is_compound: true,
                }
            }
        }
    }
}

impl Types {
    /// Names for all definitions, none of which is taken.
    pub(super) fn new(definitions: &Map<String, Value>, taken: &mut BTreeSet<String>) -> Self {
        let names = definitions.keys().map(|definition| {
            let name = unused(&camel(definition, true), taken);
            (definition.clone(), name)
        });
        Self {
            names: names.collect(),
        }
    }

    /// The declarations, in the order of the definitions.
    pub(super) fn declarations(&self, definitions: &Map<String, Value>) -> String {
        let mut text = String::new();
        for (definition, name) in &self.names {
            let Some(schema) = definitions.get(definition) else {
                continue;
            };
            text += "\n";
            text += &comment(&docs(schema, ""), "");
            text += &match self.members(schema, "") {
                Some(members) => format!("export interface {name} {members}\n"),
                None => format!("export type {name} = {};\n", self.of(schema, "").text),
            };
        }
        text
    }

    /// The members of what is an object and nothing else.
    fn members(&self, schema: &Value, indent: &str) -> Option<String> {
        let is_more = ["anyOf", "oneOf", "allOf", "enum", "const", "$ref"]
            .iter()
            .any(|word| schema.get(word).is_some());
        let members = schema["properties"].as_object()?;
        if is_more || schema["type"] != "object" || members.is_empty() {
            return None;
        }
        Some(self.object(schema, members, indent, true))
    }

    pub(super) fn of(&self, schema: &Value, indent: &str) -> Type {
        match schema {
            Value::Bool(false) => return Type::one("never"),
            Value::Object(_) => {}
            _ => return Type::one("unknown"),
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference
                .strip_prefix(READ)
                .and_then(|name| self.names.get(name));
            return Type::one(name.map_or("unknown", String::as_str));
        }
        if let Some(value) = schema.get("const") {
            return value_type(value);
        }
        if let Some(values) = schema["enum"].as_array() {
            return Type::any_of(values.iter().map(value_type));
        }
        let all = schema["allOf"].as_array().into_iter().flatten();
        let mut parts: Vec<_> = all.map(|part| self.of(part, indent)).collect();
        for word in ["anyOf", "oneOf"] {
            if let Some(forms) = schema[word].as_array() {
                let forms = forms.iter().map(|form| self.of(form, indent));
                parts.push(Type::any_of(forms));
            }
        }
        parts.push(match &schema["type"] {
            Value::String(kind) => self.of_kind(kind, schema, indent, !parts.is_empty()),
            Value::Array(kinds) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                Type::any_of(kinds.map(|kind| self.of_kind(kind, schema, indent, false)))
            }
            _ if schema.get("properties").is_some() => {
                self.of_kind("object", schema, indent, !parts.is_empty())
            }
            _ => Type::one("unknown"),
        });
        Type::all_of(parts)
    }

    /// A value of this kind. `is_rest`: besides what is known of it.
    fn of_kind(&self, kind: &str, schema: &Value, indent: &str, is_rest: bool) -> Type {
        match kind {
            "string" | "boolean" | "null" | "number" => Type::one(kind),
            "integer" => Type::one("number"),
            "array" => self.array(schema, indent),
            "object" => match schema["properties"].as_object() {
                Some(members) if !members.is_empty() => {
                    Type::one(self.object(schema, members, indent, false))
                }
                _ if is_rest => Type::one("unknown"),
                _ => self.map(schema, indent),
            },
            _ => Type::one("unknown"),
        }
    }

    fn array(&self, schema: &Value, indent: &str) -> Type {
        /// Longer arrays of one type are written as arrays of any length.
        const LONGEST: u64 = 8;
        let tuple = |items: Vec<Type>| {
            let items: Vec<_> = items.into_iter().map(|item| item.text).collect();
            Type::one(format!("[{}]", items.join(", ")))
        };
        if let Some(items) = schema["items"].as_array() {
            return tuple(items.iter().map(|item| self.of(item, indent)).collect());
        }
        let item = match schema.get("items") {
            Some(items) => self.of(items, indent),
            None => Type::one("unknown"),
        };
        match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
            (Some(least), Some(most)) if least == most && (1..=LONGEST).contains(&most) => {
                tuple((0..most).map(|_| item.clone()).collect())
            }
            _ => item.list(),
        }
    }

    fn map(&self, schema: &Value, indent: &str) -> Type {
        let patterns = schema["patternProperties"].as_object();
        let patterns = patterns.into_iter().flat_map(Map::values);
        let others = schema.get("additionalProperties");
        let others = others.filter(|others| others.is_object());
        let mut values: Vec<_> = patterns.chain(others).collect();
        values.dedup();
        let value = match values.is_empty() {
            true => Type::one("unknown"),
            false => Type::any_of(values.into_iter().map(|value| self.of(value, indent))),
        };
        Type::one(format!("Record<string, {}>", value.text))
    }

    /// Members with their comments, each in a line if one has a comment.
    fn object(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        indent: &str,
        is_long: bool,
    ) -> String {
        let inner = format!("{indent}  ");
        let required = schema["required"].as_array();
        let is_required = |name: &str| {
            let mut names = required.into_iter().flatten();
            names.any(|required| required == name)
        };
        // Sorted, whatever map serde_json has.
        let members: BTreeMap<_, _> = members.iter().collect();
        let mut lines: Vec<(String, String)> = members
            .into_iter()
            .map(|(name, schema)| {
                let mark = if is_required(name) { "" } else { "?" };
                let of = self.of(schema, &inner).text;
                let docs = comment(&docs(schema, ""), &inner);
                (docs, format!("{}{mark}: {of}", member(name)))
            })
            .collect();
        let others = &schema["additionalProperties"];
        if others.is_object() || others == true || schema.get("patternProperties").is_some() {
            lines.push((String::new(), "[key: string]: unknown".to_owned()));
        }
        if is_long || lines.iter().any(|(docs, _)| !docs.is_empty()) {
            let lines = lines.into_iter();
            let lines = lines.map(|(docs, line)| format!("{docs}{inner}{line};\n"));
            return format!("{{\n{}{indent}}}", lines.collect::<String>());
        }
        let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
        format!("{{ {} }}", lines.join("; "))
    }
}

/// The type of one value.
fn value_type(value: &Value) -> Type {
    Type::one(match value {
        Value::Array(_) | Value::Object(_) => "unknown".to_owned(),
        value => value.to_string(),
    })
}

/// What a comment says of a schema, after `first`.
pub(super) fn docs(schema: &Value, first: &str) -> Vec<String> {
    let description = schema["description"].as_str().unwrap_or_default();
    let note = match is_wide(schema) {
        true => "Exact up to 2^53 - 1.",
        false => "",
    };
    vec![first.to_owned(), description.to_owned(), note.to_owned()]
}

/// Whether an integer may be larger than a `number` is exact. Members of objects say so themselves.
pub(super) fn is_wide(schema: &Value) -> bool {
    const WIDE: [&str; 6] = ["int64", "uint64", "int128", "uint128", "int", "uint"];
    let own = schema["format"].as_str();
    let parts = [
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "additionalProperties",
        "patternProperties",
    ];
    own.is_some_and(|format| WIDE.contains(&format))
        || parts.iter().any(|part| match &schema[part] {
            Value::Array(schemas) => schemas.iter().any(is_wide),
            Value::Object(schemas) if *part == "patternProperties" => schemas.values().any(is_wide),
            Value::Object(_) => is_wide(&schema[part]),
            _ => false,
        })
}
