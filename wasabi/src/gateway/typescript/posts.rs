//! Messages of a channel without keys that a client can find.

use super::{
    events::Events,
    types::{Type, Types},
};
use crate::{
    gateway::clients::{parts::ChannelParts, pool::Known},
    schema::{Count, Source},
};

pub(super) struct Posts {
    /// Their type.
    pub(super) of: String,
    /// Whether they are sent as they are, and not as JSON.
    pub(super) is_plain: bool,
}

/// None.
impl Default for Posts {
    fn default() -> Self {
        Self {
            of: "never".to_owned(),
            is_plain: false,
        }
    }
}

/// What functions take, whichever gets the message. What they answer are events.
pub(super) fn posts(
    parts: &ChannelParts<'_>,
    known: &Known,
    types: &Types,
    events: &mut Events,
) -> Posts {
    let backends = parts.routes.iter().flat_map(|route| &route.backends);
    let mut all = Vec::new();
    let mut is_plain = false;
    for backend in backends {
        if !matches!(backend.gives.count, Count::None | Count::OnlyErrors) {
            events.reply(&backend.gives, known, types);
        }
        let mut has_message = false;
        for taking in &backend.takes {
            let of = match taking.source {
                Source::Json => match taking.schema {
                    Some(slot) => types.of(known.get(slot), "  "),
                    None => Type::one("unknown"),
                },
                Source::Text => Type::one("string"),
                Source::Binary => Type::one(BINARY),
                Source::Message | Source::Unknown => Type::one(ANY),
                _ => continue,
            };
            is_plain |= taking.source != Source::Json;
            has_message = true;
            all.push((of, taking.source == Source::Json));
        }
        if !has_message {
            is_plain = true;
            all.push((Type::one(ANY), false));
        }
    }
    // Beside other messages, JSON is text that the caller writes.
    let each = all
        .into_iter()
        .map(|(of, is_json)| match is_json && is_plain {
            true => Type::one("string"),
            false => of,
        });
    let mut each: Vec<_> = each.collect();
    if each.iter().any(|of| of.text == ANY) {
        each = vec![Type::one(ANY)];
    }
    Posts {
        of: Type::any_of(each).text,
        is_plain,
    }
}

const BINARY: &str = "ArrayBuffer | Uint8Array";
const ANY: &str = "string | ArrayBuffer | Uint8Array";
