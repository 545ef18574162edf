//! What a route gives its clients, and how its channel writes messages.

use super::{
    parts::{ChannelParts, Giving, Route},
    pool::Known,
};
use crate::{
    ErrorFormat,
    gateway::asyncapi::ChannelFacts,
    schema::{Count, Form, Language, Source},
};

/// How a channel writes its messages.
pub(in crate::gateway) struct Style {
    pub(in crate::gateway) is_rpc: bool,
    /// The places of the key and the id; empty if there is none.
    pub(in crate::gateway) key: Vec<String>,
    pub(in crate::gateway) id: Vec<String>,
    /// Whether errors tell which request they are for.
    pub(in crate::gateway) has_errors: bool,
    /// Why clients cannot follow groups by themselves; `None` if they can.
    refuses: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Kind {
    One,
    Maybe,
    Many,
    None,
    Loose,
    /// Groups are followed by it, with a client that does so by itself.
    Follows,
    Any,
}

impl Kind {
    pub(in crate::gateway) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Maybe => "maybe",
            Self::Many => "many",
            Self::None => "none",
            Self::Loose => "loose",
            Self::Follows => "follows",
            Self::Any => "any",
        }
    }
}

impl Style {
    /// `None` if the client does not speak the language of the channel.
    pub(in crate::gateway) fn of(facts: &ChannelFacts) -> Option<Self> {
        let path = |pointer: &Option<String>| {
            let tokens = pointer.as_deref().map(wasabi_rules::pointer);
            let tokens = tokens.and_then(Result::ok).unwrap_or_default();
            tokens.into_iter().map(|token| token.name).collect()
        };
        let is_rpc = match facts.places.language {
            Language::JsonRpc { .. } => true,
            Language::Json => false,
            _ => return None,
        };
        let id = path(&facts.places.id);
        let has_errors = is_rpc || matches!(facts.errors, ErrorFormat::Json(_));
        Some(Self {
            is_rpc,
            key: path(&facts.places.key),
            // A refusal has nothing but the id of its request to say which group it is about.
            refuses: match () {
                () if is_rpc => Some("the channel speaks JSON-RPC"),
                () if !facts.has_envelopes => {
                    Some("the channel has no kept groups, or not all of them are `enveloped`")
                }
                () if id.is_empty() => Some("the parser of the channel reads no ids"),
                () if !has_errors => Some("the errors of the channel are not JSON"),
                () => None,
            },
            id,
            has_errors,
        })
    }

    /// Where functions have what a client writes.
    pub(in crate::gateway) fn source(&self) -> Source {
        match self.is_rpc {
            true => Source::Params,
            false => Source::Json,
        }
    }

    /// Whether a route is of this kind.
    pub(in crate::gateway) fn has(parts: &ChannelParts<'_>, wanted: Kind, known: &Known) -> bool {
        let Some(style) = Self::of(parts.facts) else {
            return false;
        };
        let mut routes = parts.routes.iter();
        routes.any(|route| style.kind(route, known) == wanted)
    }

    pub(in crate::gateway) fn kind(&self, route: &Route<'_>, known: &Known) -> Kind {
        let mut kinds: Vec<_> = route
            .backends
            .iter()
            .map(|each| self.kind_of(&each.gives, known))
            .collect();
        kinds.dedup();
        match kinds[..] {
            [kind] => kind,
            _ if kinds.contains(&Kind::Loose) => Kind::Loose,
            _ => Kind::Any,
        }
    }

    fn kind_of(&self, gives: &Giving, known: &Known) -> Kind {
        if self.is_rpc {
            return match gives.count {
                Count::Stream => Kind::Many,
                Count::Unknown => Kind::Any,
                _ => Kind::One,
            };
        }
        match gives.count {
            _ if gives.follows && self.refuses.is_none() => Kind::Follows,
            Count::None => Kind::None,
            _ if self.id.is_empty() || !self.may_have_id(gives, known) => Kind::Loose,
            Count::One | Count::OnlyErrors => Kind::One,
            Count::AtMostOne => Kind::Maybe,
            Count::Many | Count::Stream => Kind::Many,
            Count::Unknown => Kind::Any,
        }
    }

    /// Why there is nothing that follows groups by this route, if there could be.
    pub(in crate::gateway) fn unfollowed(&self, route: &Route<'_>) -> String {
        let follows = route.backends.iter().any(|backend| backend.gives.follows);
        let why = self.refuses.filter(|_| follows);
        why.map_or_else(String::new, |why| {
            format!("There is no `follow` here, because {why}.")
        })
    }

    /// Whether a reply has the id of its request, as far as is known.
    fn may_have_id(&self, gives: &Giving, known: &Known) -> bool {
        match (gives.form, gives.schema) {
            _ if gives.count == Count::OnlyErrors => self.has_errors,
            (_, Some(slot)) => {
                let schema = known.get(slot);
                let is_anything = schema.as_object().is_some_and(serde_json::Map::is_empty);
                is_anything || known.member(schema, &self.id).is_everywhere
            }
            (Form::Text | Form::Binary, None) => false,
            (Form::Json | Form::Unknown, None) => true,
        }
    }
}
