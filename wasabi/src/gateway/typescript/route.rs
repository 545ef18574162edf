//! The type of a route.

use super::{
    events::Events,
    text::{list, literal},
    types::{Type, Types, is_wide},
};
use crate::{
    gateway::clients::{
        kind::{Kind, Style},
        parts::{Backend, Giving, Route, Taking},
        pool::{Known, Slot},
    },
    schema::{Codes, Count},
};

/// A route as it is written.
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) takes: Type,
    pub(super) gives: Type,
    pub(super) codes: String,
    pub(super) docs: Vec<String>,
}

/// What writes the routes of a channel.
pub(super) struct Writer<'a> {
    pub(super) known: &'a Known,
    pub(super) types: &'a Types,
    pub(super) style: &'a Style,
}

impl Writer<'_> {
    pub(super) fn write(&self, route: &Route<'_>, indent: &str, events: &mut Events) -> Written {
        let kind = self.style.kind(route, self.known);
        let mut docs = vec![route.operation.docs().to_owned()];
        let gives = route.backends.iter().map(|backend| &backend.gives);
        let gives = gives.filter(|gives| gives.count != Count::OnlyErrors);
        let note = match kind {
            Kind::Maybe => "There may be no reply: `undefined` after the deadline.".to_owned(),
            Kind::None => "No reply.".to_owned(),
            Kind::Loose => {
                let names = gives.clone().filter(|gives| gives.count != Count::None);
                let names = names.map(|gives| events.reply(gives, self.known, self.types));
                self.loose(names.collect())
            }
            Kind::Follows => {
                "`follow` follows a group. Ask who is there with `send`: `follow` gets the answer."
                    .to_owned()
            }
            Kind::Any | Kind::One | Kind::Many => String::new(),
        };
        docs.push(note);
        docs.push(self.style.unfollowed(route));
        let mut notes: Vec<_> = route
            .backends
            .iter()
            .flat_map(|each| each.notes.clone())
            .collect();
        notes.dedup();
        docs.extend(notes);
        let own = route.backends.iter().filter_map(|each| each.gives.schema);
        let is_exact = !own.clone().any(|slot| is_wide(self.known.get(slot)));
        docs.push(if is_exact {
            String::new()
        } else {
            "Exact up to 2^53 - 1.".to_owned()
        });
        Written {
            kind,
            takes: Type::any_of(
                route
                    .backends
                    .iter()
                    .map(|backend| self.takes(backend, indent)),
            ),
            gives: match kind {
                Kind::None | Kind::Loose => Type::one("never"),
                Kind::Follows => Type::one("Told"),
                _ => Type::any_of(gives.map(|gives| self.gives(gives, indent))),
            },
            codes: match self.style.has_errors {
                true => codes(&route.operation.codes()),
                false => "never".to_owned(),
            },
            docs,
        }
    }

    /// What is said of replies that no request can be found for.
    fn loose(&self, names: Vec<Option<String>>) -> String {
        let mut events = Vec::new();
        let mut is_more = false;
        for name in names {
            match name {
                Some(name) => events.push(format!("`{name}`")),
                None => is_more = true,
            }
        }
        events.dedup();
        if is_more || events.is_empty() {
            events.push("`onMessage`".to_owned());
        }
        let why = match self.style.id.is_empty() {
            true => "Messages here have no ids".to_owned(),
            false => format!("Its replies have no `/{}`", self.style.id.join("/")),
        };
        let events = events.join(" or ");
        format!("{why}, so they cannot be matched with requests: they come as {events}.")
    }

    fn gives(&self, gives: &Giving, indent: &str) -> Type {
        let one = match (gives.form, gives.schema) {
            (_, Some(slot)) => self.types.of(self.known.get(slot), indent),
            _ => Type::one("unknown"),
        };
        if !self.style.is_rpc {
            return match gives.count {
                Count::AtMostOne => Type::any_of([one, Type::one("undefined")]),
                _ => one,
            };
        }
        let null = gives.is_optional || gives.count == Count::AtMostOne;
        let result = match gives.count {
            Count::None => return Type::one("null"),
            Count::Many => one.list(),
            Count::Stream => return one,
            _ => one,
        };
        match null {
            true => Type::any_of([result, Type::one("null")]),
            false => result,
        }
    }

    fn takes(&self, backend: &Backend, indent: &str) -> Type {
        let wanted = self.style.source();
        let takes = backend.takes.iter();
        let typed: Vec<_> = takes.filter(|taking| taking.source == wanted).collect();
        if typed.is_empty() {
            let takes_message = backend.takes.iter().any(Taking::is_of_message);
            return Type::one(match backend.is_typed && !takes_message {
                true => NOTHING,
                false => "object",
            });
        }
        Type::all_of(typed.into_iter().map(|taking| {
            let body = taking.schema.map(|slot| self.body(slot, indent));
            let body = body.filter(|body| body.text != "unknown");
            let body = body.unwrap_or_else(|| Type::one("object"));
            match taking.is_optional {
                true => Type::any_of([body, Type::one(NOTHING)]),
                false => body,
            }
        }))
    }

    /// A message without what the client adds.
    fn body(&self, slot: Slot, indent: &str) -> Type {
        let schema = self.known.get(slot);
        let body = self.types.of(schema, indent);
        if self.style.is_rpc {
            return body;
        }
        let added = [&self.style.key, &self.style.id];
        let added = added.into_iter().filter(|path| !path.is_empty());
        let added: Vec<_> = added
            .filter(|path| !self.known.member(schema, path).schemas.is_empty())
            .collect();
        let resolved = self.known.resolve(schema);
        let is_plain = ["anyOf", "oneOf"]
            .iter()
            .all(|word| resolved.get(word).is_none());
        if added.is_empty() {
            body
        } else if is_plain && added.iter().all(|path| path.len() == 1) {
            let names: Vec<_> = added
                .into_iter()
                .flatten()
                .map(|name| literal(name))
                .collect();
            Type::one(format!("Omit<{}, {}>", body.text, names.join(" | ")))
        } else {
            added.into_iter().fold(body, |body, path| {
                Type::one(format!("Without<{}, {}>", body.text, list(path)))
            })
        }
    }
}

/// A message with nothing in it.
const NOTHING: &str = "Record<string, never>";

fn codes(codes: &Codes) -> String {
    let known = codes.known().map(literal);
    let other = codes.is_open().then(|| "Other".to_owned());
    let all: Vec<_> = known.chain(other).collect();
    match all.is_empty() {
        true => "never".to_owned(),
        false => all.join(" | "),
    }
}
