//! Messages that answer no request, as an enum.

use serde_json::Value;

use super::{
    schemas::required,
    text::comment,
    types::{ANY, Types},
};
use crate::{
    channel::Sent,
    gateway::clients::{
        names::{camel, unused},
        parts::Giving,
    },
    schema::Form,
};

/// The events of a channel, in order.
#[derive(Default)]
pub(super) struct Events {
    found: Vec<Event>,
}

struct Event {
    variant: String,
    of: String,
    docs: String,
    /// How a message is read as it.
    read: &'static str,
    /// How much a message must have: the more, the sooner it is tried.
    weight: usize,
}

impl Event {
    fn of(name: &str, gives: &Giving, docs: &str, types: &mut Types<'_>) -> Option<Self> {
        let known = types.known;
        let (of, read, weight) = match (gives.form, gives.schema) {
            (_, Some(slot)) => {
                let schema = known.get(slot);
                let of = types.of(schema, &camel(name, true));
                // Any JSON could be read as this.
                let weight = match of == ANY {
                    true => 0,
                    false => 1 + weight(known.resolve(schema)),
                };
                (of, "json", weight)
            }
            (Form::Text, None) => ("String".to_owned(), "text", 0),
            (Form::Binary, None) => ("Bytes".to_owned(), "binary", 0),
            (Form::Json | Form::Unknown, None) => return None,
        };
        Some(Self {
            variant: camel(name, true),
            of,
            docs: docs.to_owned(),
            read,
            weight,
        })
    }
}

/// How many members all forms have.
fn weight(schema: &Value) -> usize {
    let forms = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    let forms = forms.into_iter().flatten().map(weight).min();
    required(schema).len() + forms.unwrap_or_default()
}

impl Events {
    /// A reply that no request waits for. `None` if nothing is known of it, otherwise its name: replies of one type share
    /// it.
    pub(super) fn reply(&mut self, gives: &Giving, types: &mut Types<'_>) -> Option<String> {
        let name = match (gives.form, gives.schema) {
            (Form::Text, None) => "text",
            (Form::Binary, None) => "binary",
            _ => &gives.name,
        };
        let event = Event::of(name, gives, "", types)?;
        let same = self.found.iter().find(|other| other.of == event.of);
        match same {
            Some(same) => Some(same.variant.clone()),
            None => Some(self.push(event)),
        }
    }

    /// A message that is sent unasked.
    pub(super) fn sent(&mut self, sent: &Sent, gives: &Giving, types: &mut Types<'_>) {
        if let Some(event) = Event::of(&sent.name, gives, &sent.docs, types) {
            self.push(event);
        }
    }

    fn push(&mut self, mut event: Event) -> String {
        let taken = self.found.iter().map(|event| event.variant.clone());
        let mut taken = taken
            .chain(["Other".to_owned(), "Self".to_owned()])
            .collect();
        event.variant = unused(&event.variant, &mut taken);
        let variant = event.variant.clone();
        self.found.push(event);
        variant
    }

    /// The enum, and how it is read.
    pub(super) fn declared(&self, name: &str) -> String {
        let variants = self.found.iter().map(|event| {
            let docs = comment(std::slice::from_ref(&event.docs), "    ");
            format!("{docs}    {}({}),\n", event.variant, event.of)
        });
        let mut sorted: Vec<_> = self.found.iter().collect();
        sorted.sort_by_key(|event| std::cmp::Reverse(event.weight));
        let reads = sorted.into_iter().map(|Event { variant, read, .. }| {
            format!("        if let Some(it) = message.{read}() {{\n            return Self::{variant}(it);\n        }}\n")
        });
        format!(
            "
/// What the gateway sends without being asked, and replies without ids. If a message looks like several, it is the one that
/// must have the most members.
#[derive(Debug, Clone)]
pub enum {name} {{
{}    /// Anything else, such as an error of a message that was sent.
    Other(Unasked),
}}

impl wasabi::client::Event for {name} {{
    fn read(message: Unasked) -> Self {{
{}        Self::Other(message)
    }}
}}
",
            variants.collect::<String>(),
            reads.collect::<String>()
        )
    }
}
