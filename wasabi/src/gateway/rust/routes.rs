//! Routes as methods.

use std::collections::BTreeSet;

use super::{
    events::Events,
    text::{comment, identifier, literal, snake},
    types::{ANY, Types},
};
use crate::{
    gateway::clients::{
        kind::{Kind, Style},
        names::{camel, unused},
        parts::{Backend, Giving, Route},
    },
    schema::{Codes, Count},
};

/// What writes the routes of a channel.
pub(super) struct Writer<'a> {
    pub(super) style: &'a Style,
    /// The name of the channel's type.
    pub(super) channel: &'a str,
}

/// What a method takes.
enum Body {
    Nothing,
    /// A type, and whether it may be left out.
    Of(String, bool),
    Anything,
}

/// What a route has, whichever of its keys is asked for.
struct Facts {
    kind: Kind,
    body: Body,
    gives: String,
    docs: Vec<String>,
}

impl Writer<'_> {
    /// The methods of a route: one for each key.
    pub(super) fn write(
        &self,
        route: &Route<'_>,
        names: &mut BTreeSet<String>,
        types: &mut Types<'_>,
        events: &mut Events,
    ) -> String {
        let operation = route.operation;
        let keys = operation.keys();
        let is_named = operation.prefix().is_none() && !operation.is_open() && !keys.is_empty();
        if !is_named && operation.prefix().is_none() {
            // Only their guards know the keys: the client itself asks for any.
            return String::new();
        }
        let facts = self.facts(route, is_named, types, events);
        match operation.prefix() {
            Some(prefix) if !is_named => {
                let codes = operation.codes();
                self.method(prefix, true, &facts, &codes, names, types)
            }
            _ => {
                let codes = operation.codes();
                let keys = keys.iter();
                keys.map(|key| self.method(key, false, &facts, &codes, names, types))
                    .collect()
            }
        }
    }

    fn facts(
        &self,
        route: &Route<'_>,
        is_named: bool,
        types: &mut Types<'_>,
        events: &mut Events,
    ) -> Facts {
        let mut kind = self.style.kind(route, types.known);
        if !is_named && kind == Kind::Maybe {
            kind = Kind::Any;
        }
        let gives = route.backends.iter().map(|backend| &backend.gives);
        let gives = gives.filter(|gives| gives.count != Count::OnlyErrors);
        let mut docs = vec![route.operation.docs().to_owned()];
        docs.push(match kind {
            Kind::Maybe => "There may be no reply: `None` after the deadline.".to_owned(),
            Kind::None => "No reply.".to_owned(),
            Kind::Loose => {
                let names = gives.clone().filter(|gives| gives.count != Count::None);
                let names: BTreeSet<_> = names
                    .map(|gives| {
                        let name = events.reply(gives, types);
                        format!("`{}`", name.as_deref().unwrap_or("Other"))
                    })
                    .collect();
                let names: Vec<_> = names.into_iter().collect();
                let why = match self.style.id.is_empty() {
                    true => "Messages here have no ids".to_owned(),
                    false => format!("Its replies have no `/{}`", self.style.id.join("/")),
                };
                format!(
                    "{why}, so they cannot be matched with requests: they are the event {}.",
                    names.join(" or ")
                )
            }
            Kind::Follows => {
                "Follows a group from a position, or from now on. Ask who is there with `client()`."
                    .to_owned()
            }
            Kind::Any => "Other ways to ask are in `client()`.".to_owned(),
            Kind::One | Kind::Many => String::new(),
        });
        docs.push(self.style.unfollowed(route));
        let notes = route.backends.iter().flat_map(|each| each.notes.clone());
        docs.extend(notes.collect::<BTreeSet<_>>());
        let mut all: Vec<_> = gives.map(|gives| self.gives(gives, kind, types)).collect();
        all.dedup();
        Facts {
            kind,
            body: match kind {
                Kind::Follows => Body::Nothing,
                _ => self.body(&route.backends, types),
            },
            gives: match &all[..] {
                [one] => one.clone(),
                _ => ANY.to_owned(),
            },
            docs,
        }
    }

    fn gives(&self, gives: &Giving, kind: Kind, types: &mut Types<'_>) -> String {
        let hint = match gives.name.is_empty() {
            true => format!("{}Reply", self.channel),
            false => camel(&gives.name, true),
        };
        let one = match gives.schema {
            _ if matches!(kind, Kind::None | Kind::Loose | Kind::Follows) => return String::new(),
            Some(slot) => {
                let known = types.known;
                types.of(known.get(slot), &hint)
            }
            None => ANY.to_owned(),
        };
        if !self.style.is_rpc {
            return one;
        }
        let result = match gives.count {
            Count::None => return "()".to_owned(),
            Count::Stream => return one,
            Count::Many => format!("Vec<{one}>"),
            _ => one,
        };
        let may_be_null = gives.is_optional || gives.count == Count::AtMostOne;
        match may_be_null && result != ANY && !result.starts_with("Option<") {
            true => format!("Option<{result}>"),
            false => result,
        }
    }

    fn body(&self, backends: &[Backend], types: &mut Types<'_>) -> Body {
        let mut bodies: Vec<_> = backends
            .iter()
            .map(|backend| self.body_of(backend, types))
            .collect();
        bodies.dedup_by(|a, b| match (a, b) {
            (Body::Of(a, a_optional), Body::Of(b, b_optional)) => {
                a == b && a_optional == b_optional
            }
            (Body::Nothing, Body::Nothing) => true,
            _ => false,
        });
        match bodies.len() {
            1 => bodies.remove(0),
            _ => Body::Anything,
        }
    }

    fn body_of(&self, backend: &Backend, types: &mut Types<'_>) -> Body {
        let wanted = self.style.source();
        let takes = backend.takes.iter().filter(|taking| taking.is_of_message());
        let takes: Vec<_> = takes.collect();
        let taking = match takes[..] {
            [] if backend.is_typed => return Body::Nothing,
            [taking] if taking.source == wanted => taking,
            _ => return Body::Anything,
        };
        let Some(slot) = taking.schema else {
            return Body::Anything;
        };
        let known = types.known;
        let added: &[&[String]] = match self.style.is_rpc {
            true => &[],
            false => &[&self.style.key, &self.style.id],
        };
        let added: Vec<_> = added
            .iter()
            .filter(|path| !path.is_empty())
            .copied()
            .collect();
        match types.body(known.get(slot), &added) {
            None => Body::Nothing,
            Some(of) if of == ANY => Body::Anything,
            Some(of) => Body::Of(of, taking.is_optional),
        }
    }

    /// A method for a key, or for keys that begin with it.
    // Long: one method, of which each part depends on the kind.
    fn method(
        &self,
        key: &str,
        is_prefix: bool,
        facts: &Facts,
        codes: &Codes,
        names: &mut BTreeSet<String>,
        types: &mut Types<'_>,
    ) -> String {
        let name = unused(&snake(key), names);
        let (mut arguments, mut asked) = (String::new(), literal(key));
        if is_prefix {
            arguments += ", rest: &str";
            asked = format!("&format!(\"{{}}{{rest}}\", {asked})");
        }
        let body = match &facts.body {
            _ if facts.kind == Kind::Follows => {
                arguments += ", group: &str, since: Option<&str>";
                "group, since"
            }
            Body::Nothing => "&()",
            Body::Of(of, is_optional) => {
                arguments += &match is_optional {
                    true => format!(", body: Option<&{of}>"),
                    false => format!(", body: &{of}"),
                };
                if *is_optional { "&body" } else { "body" }
            }
            Body::Anything => {
                arguments += ", body: &(impl Serialize + ?Sized)";
                "body"
            }
        };
        let gives = &facts.gives;
        let mut errors = || {
            if !self.style.has_errors || codes.known().next().is_none() {
                return "String".to_owned();
            }
            let of = types.unused(&format!("{}{}Code", self.channel, camel(&name, true)));
            types.declare(of.clone(), declared_codes(key, &of, codes));
            of
        };
        let (is_async, returns, call) = match facts.kind {
            Kind::One | Kind::Any => (
                "async ",
                format!("Result<{gives}, RequestError<{}>>", errors()),
                "request",
            ),
            Kind::Maybe => (
                "async ",
                format!("Result<Option<{gives}>, RequestError<{}>>", errors()),
                "request_maybe",
            ),
            Kind::Many => ("", format!("Messages<{gives}, {}>", errors()), "stream"),
            Kind::Follows => ("", format!("Following<{}>", errors()), "follow"),
            Kind::None | Kind::Loose => ("", "Result<u64, NotSent>".to_owned(), "send"),
        };
        let docs = match is_prefix {
            true => [format!(
                "Keys that begin with `{key}`; `rest` is what follows."
            )]
            .to_vec(),
            false => Vec::new(),
        };
        let docs = comment(&[docs, facts.docs.clone()].concat(), "    ");
        let wait = if is_async.is_empty() { "" } else { ".await" };
        format!(
            "\n{docs}    pub {is_async}fn {}(&self{arguments}) -> {returns} {{\n        self.client.{call}({asked}, {body}){wait}\n    }}\n",
            identifier(&name)
        )
    }
}

/// The codes of a route's errors.
fn declared_codes(key: &str, name: &str, codes: &Codes) -> String {
    let mut taken = BTreeSet::from(["Other".to_owned(), "Self".to_owned()]);
    let variants = codes.known().map(|code| {
        let variant = unused(&camel(code, true), &mut taken);
        format!("    #[serde(rename = {})]\n    {variant},\n", literal(code))
    });
    let other = match codes.is_open() {
        true => "Any other.",
        false => "One of a gateway that is newer than this file.",
    };
    format!(
        "\n/// The codes of the errors of `{}`.\n#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]\npub enum {name} {{\n{}    /// {other}\n    #[serde(untagged)]\n    Other(String),\n}}\n",
        key.escape_debug(),
        variants.collect::<String>()
    )
}
