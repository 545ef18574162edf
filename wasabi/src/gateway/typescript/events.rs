//! Messages that answer no request, and how they are told apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    text::{comment, literal, member, member_of_value},
    types::{Types, docs},
};
use crate::{
    channel::Sent,
    gateway::clients::{names::unused, parts::Giving, pool::Known},
    schema::Form,
};

/// The events of a channel, in order.
#[derive(Default)]
pub(super) struct Events {
    found: Vec<Event>,
}

struct Event {
    name: String,
    of: String,
    /// An expression of `m`, the message.
    test: String,
    docs: Vec<String>,
}

impl Event {
    fn of(name: &str, gives: &Giving, about: &str, known: &Known, types: &Types) -> Option<Self> {
        let (of, test, docs) = match (gives.form, gives.schema) {
            (_, Some(slot)) => {
                let schema = known.get(slot);
                let of = types.of(schema, "    ").text;
                (of, test(known, schema, DEPTH), docs(schema, about))
            }
            (Form::Text, None) => {
                let test = r#"typeof m === "string""#.to_owned();
                ("string".to_owned(), test, vec![about.to_owned()])
            }
            (Form::Binary, None) => {
                let test = "m instanceof ArrayBuffer".to_owned();
                ("ArrayBuffer".to_owned(), test, vec![about.to_owned()])
            }
            (Form::Json | Form::Unknown, None) => return None,
        };
        Some(Self {
            name: name.to_owned(),
            of,
            test,
            docs,
        })
    }
}

/// Types contain themselves, and a test need not look everywhere.
const DEPTH: usize = 4;

impl Events {
    /// A reply that no request waits for. `None` if nothing is known of it, otherwise its name: replies of one type share
    /// it.
    pub(super) fn reply(&mut self, gives: &Giving, known: &Known, types: &Types) -> Option<String> {
        let name = match (gives.form, gives.schema) {
            (Form::Text, None) => "text",
            (Form::Binary, None) => "binary",
            _ => &gives.name,
        };
        let event = Event::of(name, gives, "", known, types)?;
        let mut found = self.found.iter();
        let same = found.find(|other| other.of == event.of && other.test == event.test);
        match same {
            Some(same) => Some(same.name.clone()),
            None => Some(self.push(event)),
        }
    }

    /// A message that is sent unasked.
    pub(super) fn sent(&mut self, sent: &Sent, gives: &Giving, known: &Known, types: &Types) {
        if let Some(event) = Event::of(&sent.name, gives, &sent.docs, known, types) {
            self.push(event);
        }
    }

    fn push(&mut self, mut event: Event) -> String {
        let mut taken = self.found.iter().map(|event| event.name.clone()).collect();
        event.name = unused(&event.name, &mut taken);
        let name = event.name.clone();
        self.found.push(event);
        name
    }

    /// The type that has them.
    pub(super) fn declared(&self) -> String {
        if self.found.is_empty() {
            return "{}".to_owned();
        }
        let lines = self.found.iter().map(|Event { name, of, docs, .. }| {
            format!("{}    {}: {of};\n", comment(docs, "    "), member(name))
        });
        format!("{{\n{}  }}", lines.collect::<String>())
    }

    /// The value that tells them apart.
    pub(super) fn tests(&self) -> String {
        let tests = self
            .found
            .iter()
            .map(|Event { name, test, .. }| format!("{}: (m) => {test}", member_of_value(name)));
        let tests: Vec<_> = tests.collect();
        match tests.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", tests.join(", ")),
        }
    }

    pub(super) fn has_text(&self) -> bool {
        self.found.iter().any(|event| event.of == "string")
    }
}

/// An expression that is true for all values of a schema, and false for most others.
fn test(known: &Known, schema: &Value, depth: usize) -> String {
    let schema = known.resolve(schema);
    let mut all = Vec::new();
    let more = schema["allOf"].as_array().into_iter().flatten();
    for part in more.filter(|_| depth > 0) {
        all.push(test(known, part, depth - 1));
    }
    for word in ["anyOf", "oneOf"] {
        let forms = schema[word].as_array().filter(|_| depth > 0);
        if let Some(forms) = forms {
            let mut forms: Vec<_> = forms
                .iter()
                .map(|form| test(known, form, depth - 1))
                .collect();
            forms.dedup();
            match forms.iter().any(|form| form == "true") {
                true => {}
                false if forms.len() == 1 => all.append(&mut forms),
                false => all.push(format!("({})", forms.join(" || "))),
            }
        }
    }
    all.extend(own_test(known, schema));
    all.retain(|test| test != "true");
    all.dedup();
    match all.is_empty() {
        true => "true".to_owned(),
        false => all.join(" && "),
    }
}

/// What a schema says without those that it is made of.
fn own_test(known: &Known, schema: &Value) -> Option<String> {
    let values = values_of(schema);
    if let Some(values) = values {
        return Some(format!("({values} as unknown[]).includes(m)"));
    }
    let required = schema["required"].as_array().into_iter().flatten();
    let required: BTreeMap<_, _> = required
        .filter_map(Value::as_str)
        .map(|name| (name, schema["properties"].get(name)))
        .collect();
    if !required.is_empty() {
        let members = required.into_iter().map(|(name, schema)| {
            let values = schema.and_then(|schema| values_of(known.resolve(schema)));
            format!(
                "{}: {}",
                member_of_value(name),
                values.unwrap_or_else(|| "0".to_owned())
            )
        });
        let members: Vec<_> = members.collect();
        return Some(format!("is(m, {{ {} }})", members.join(", ")));
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        _ => return None,
    };
    Some(match kind {
        "array" => "Array.isArray(m)".to_owned(),
        "null" => "m === null".to_owned(),
        "integer" | "number" => format!("typeof m === {}", literal("number")),
        "string" | "boolean" | "object" => format!("typeof m === {}", literal(kind)),
        _ => return None,
    })
}

/// The only values, as a list.
fn values_of(schema: &Value) -> Option<String> {
    let values = match (schema.get("const"), schema["enum"].as_array()) {
        (Some(value), _) => vec![value],
        (None, Some(values)) => values.iter().collect(),
        (None, None) => return None,
    };
    if values
        .iter()
        .any(|value| value.is_object() || value.is_array())
    {
        return None;
    }
    let values: Vec<_> = values.into_iter().map(Value::to_string).collect();
    Some(format!("[{}]", values.join(", ")))
}
