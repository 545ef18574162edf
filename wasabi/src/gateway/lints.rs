//! Mistakes that only the schemas of types show: what no client could write, or make sense of.
//!
//! Each of them is certain. What may be meant so is no mistake: replies of one shape (a request's id tells them apart, and
//! without ids a client may have one request in flight at a time), messages of one shape in `sends` with a text, an integer
//! or a choice inside (whose value may tell them apart), types whose schemas say too little.

mod alike;

use std::collections::BTreeSet;

use serde_json::Value;

use super::asyncapi::ChannelFacts;
use crate::{
    ErrorFormat,
    connection::path_types::short,
    panics::caught,
    schema::{Answers, Count, Form, Input, Language, Operation, Output, Source},
};

/// References that a schema may lead through, for schemas that refer to themselves.
const MOST_REFERENCES: usize = 32;

/// Those of a channel. Schemas are the application's code.
pub(super) fn mistakes(facts: &ChannelFacts) -> Vec<String> {
    let found = caught(|| {
        [
            refused_places(facts),
            replies_without_id(facts),
            replies_like_errors(facts),
            alike::mistakes(facts),
            taken_names(facts),
        ]
        .concat()
    });
    let found = found.unwrap_or_default();
    let mistakes = found
        .iter()
        .map(|mistake| format!("`{}`: {mistake}", facts.path));
    mistakes.collect()
}

fn answers(facts: &ChannelFacts) -> impl Iterator<Item = (&Operation, &Answers)> {
    let operations = facts.operations.iter();
    operations.flat_map(|operation| {
        operation
            .answers()
            .iter()
            .map(move |each| (operation, each))
    })
}

/// How a route is called in a mistake.
fn name<'a>(operation: &'a Operation, answers: &'a Answers) -> &'a str {
    match operation.route() {
        "" => &answers.target,
        route => route,
    }
}

/// Types of requests that no message with a key fits, or none with an id.
fn refused_places(facts: &ChannelFacts) -> Vec<String> {
    let places = &facts.places;
    if places.language != Language::Json {
        return Vec::new();
    }
    // A route may be for the messages without a key.
    let key = places.key.as_deref().filter(|_| places.or.is_none());
    let wanted = [("key", key), ("id", places.id.as_deref())];
    let wanted: Vec<_> = wanted
        .into_iter()
        .filter_map(|(what, pointer)| Some((what, pointer?)))
        .collect();
    let mut mistakes = Vec::new();
    for (operation, answers) in answers(facts) {
        let inputs = answers.inputs.iter();
        let inputs = inputs.filter(|input| input.source == Source::Json && !input.is_optional);
        for (input, schema) in inputs.filter_map(|input| Some((input, input.schema()?))) {
            let mut seen = BTreeSet::new();
            for (what, pointer) in &wanted {
                let refusal = Schema::of(&schema).refuses(&names(pointer));
                let Some(refusal) = refusal.filter(|refusal| seen.insert(refusal.clone())) else {
                    continue;
                };
                mistakes.push(refused(
                    name(operation, answers),
                    input,
                    what,
                    pointer,
                    &refusal,
                ));
            }
        }
    }
    mistakes
}

fn refused(route: &str, input: &Input, what: &str, pointer: &str, refusal: &Refusal) -> String {
    let of = short(input.type_name);
    match refusal {
        Refusal::Member(member) => format!(
            "`{route}` takes `{of}`, which refuses the member `{member}`, so that no message with {} at `{pointer}` fits: remove `deny_unknown_fields`, or add the member",
            match what {
                "id" => "an id",
                _ => "a key",
            }
        ),
        Refusal::Kind => format!(
            "`{route}` takes `{of}`, which is no JSON object, so that no message with a {what} at `{pointer}` fits: take a struct that has the value as a member"
        ),
    }
}

/// Replies without an id where others have one: clients match them by it. Those of many messages may be events, which
/// clients know by what they are.
fn replies_without_id(facts: &ChannelFacts) -> Vec<String> {
    let (Language::Json, Some(id)) = (facts.places.language, &facts.places.id) else {
        return Vec::new();
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (operation, answers) in answers(facts) {
        let is_one = matches!(answers.output.count, Count::One | Count::AtMostOne);
        let Some(schema) = replied(&answers.output).filter(|_| is_one) else {
            continue;
        };
        let route = name(operation, answers);
        match Schema::of(&schema).has(&names(id)) {
            Has::Yes => with.push(route),
            Has::No => without.push((route, short(answers.output.type_name))),
            Has::Unknown => {}
        }
    }
    let Some(example) = with.first() else {
        return Vec::new(); // The channel's clients match by something else.
    };
    let mistakes = without.into_iter().map(|(route, of)| {
        format!(
            "the reply of `{route}`, `{of}`, has nothing at `{id}`, where that of `{example}` has the id of its request, so that clients cannot match it: give `{of}` the id of its request there"
        )
    });
    mistakes.collect()
}

/// Replies that a client takes for errors.
fn replies_like_errors(facts: &ChannelFacts) -> Vec<String> {
    let is_plain = matches!(
        facts.places.language,
        Language::Raw | Language::Json | Language::Own
    );
    if !is_plain || !matches!(facts.errors, ErrorFormat::Json(_)) {
        return Vec::new();
    }
    let mut mistakes = Vec::new();
    for (operation, answers) in answers(facts) {
        let schema = replied(&answers.output);
        if schema.is_some_and(|schema| Schema::of(&schema).is_like_an_error()) {
            let (route, of) = (name(operation, answers), short(answers.output.type_name));
            mistakes.push(format!(
                "the reply of `{route}`, `{of}`, has a member `error` with `code` and `message`, as errors have, so that clients take it for one: return `Err(wasabi::Error::new(code, message))`, or call the member differently"
            ));
        }
    }
    mistakes
}

/// Messages of `sends` with the name of one that the gateway itself writes.
fn taken_names(facts: &ChannelFacts) -> Vec<String> {
    let (declared, own) = facts.sends.split_at(facts.declared_sends);
    let names = declared.iter().map(|sent| &*sent.name);
    let taken = names.filter(|name| own.iter().any(|own| own.name == *name));
    let mistakes = taken.map(|name| {
        format!("`sends` has a message with the name `{name}`, which is that of a message of the channel's kept groups: call it differently")
    });
    mistakes.collect()
}

/// The schema of a reply that is described.
fn replied(output: &Output) -> Option<Value> {
    let is_json = output.form == Form::Json && output.count != Count::None;
    is_json.then(|| output.schema())?
}

fn names(pointer: &str) -> Vec<String> {
    let tokens = wasabi_rules::pointer(pointer).unwrap_or_default();
    tokens.iter().map(|token| token.name.to_string()).collect()
}

/// Why no value of a schema has something in a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    /// This member is not allowed.
    Member(String),
    /// They are no objects.
    Kind,
}

/// Whether values of a schema have something in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Yes,
    No,
    Unknown,
}

/// A part of a schema.
#[derive(Clone, Copy)]
struct Schema<'a> {
    root: &'a Value,
    part: &'a Value,
    references: usize,
}

impl<'a> Schema<'a> {
    const fn of(root: &'a Value) -> Self {
        Self {
            root,
            part: root,
            references: 0,
        }
    }

    const fn within(self, part: &'a Value) -> Self {
        Self { part, ..self }
    }

    /// Without a reference; `None` if it leads nowhere.
    fn resolved(mut self) -> Option<Self> {
        while let Some(reference) = self.part["$ref"].as_str() {
            self.references += 1;
            let pointer = reference.strip_prefix('#')?;
            let found = self.root.pointer(pointer);
            self.part = found.filter(|_| self.references < MOST_REFERENCES)?;
        }
        Some(self)
    }

    /// The schemas of which a value has one.
    fn variants(self) -> Vec<Self> {
        let lists = ["oneOf", "anyOf"].map(|name| self.part[name].as_array());
        let lists = lists.into_iter().flatten().flatten();
        lists.map(|part| self.within(part)).collect()
    }

    fn member(self, name: &str) -> Option<Self> {
        Some(self.within(self.part["properties"].get(name)?))
    }

    /// Whether values are never objects, nor arrays if the name may be a position.
    fn is_of_another_kind(self, name: &str) -> bool {
        let Some(kind) = self.part["type"].as_str() else {
            return false;
        };
        let is_position = name.bytes().all(|digit| digit.is_ascii_digit());
        kind != "object" && !(kind == "array" && is_position)
    }

    /// Why no value has something in this place; `None` if one may have.
    fn refuses(self, place: &[String]) -> Option<Refusal> {
        let (name, rest) = place.split_first()?;
        let schema = self.resolved()?;
        let parts = schema.part["allOf"].as_array().into_iter().flatten();
        let mut parts = parts.map(|part| schema.within(part));
        if let Some(refusal) = parts.find_map(|part| part.refuses(place)) {
            return Some(refusal);
        }
        let variants = schema.variants();
        let refusals: Vec<_> = variants
            .iter()
            .map_while(|one| one.refuses(place))
            .collect();
        if !variants.is_empty() && refusals.len() == variants.len() {
            return refusals.into_iter().next();
        }
        if schema.is_of_another_kind(name) {
            return Some(Refusal::Kind);
        }
        let is_closed = schema.part["additionalProperties"] == false
            && schema.part.get("patternProperties").is_none();
        match schema.member(name) {
            Some(inner) => inner.refuses(rest),
            None => is_closed.then(|| Refusal::Member(name.clone())),
        }
    }

    /// Whether values have something in this place. `Unknown` if only some may have.
    fn has(self, place: &[String]) -> Has {
        let Some((name, rest)) = place.split_first() else {
            return Has::Yes;
        };
        let Some(schema) = self.resolved() else {
            return Has::Unknown;
        };
        if let Some(inner) = schema.member(name) {
            return inner.has(rest);
        }
        let open = [
            "additionalProperties",
            "patternProperties",
            "allOf",
            "oneOf",
            "anyOf",
            "if",
        ];
        let is_open = open.iter().any(|word| {
            let value = schema.part.get(*word);
            value.is_some_and(|value| *value != Value::Bool(false))
        });
        match schema.part["type"] == "object" && !is_open {
            true => Has::No,
            false => Has::Unknown,
        }
    }

    /// Whether values may be what the gateway writes for an error.
    fn is_like_an_error(self) -> bool {
        let Some(schema) = self.resolved() else {
            return false;
        };
        let is_error = |error: Self| {
            let Some(error) = error.resolved() else {
                return false;
            };
            // An `Option` is one or `null`.
            let mut variants = error.variants();
            variants.push(error);
            variants.iter().filter_map(|one| one.resolved()).any(|one| {
                let has = |name| one.member(name).is_some();
                has("code") && has("message")
            })
        };
        schema.member("error").is_some_and(is_error)
            || schema.variants().into_iter().any(Self::is_like_an_error)
    }
}
