//! The path of a channel: its parameters, and the URL that they make.

use super::{
    text::{access, literal, member},
    types::Types,
};
use crate::gateway::clients::{
    path::{Piece, pieces},
    pool::{Known, Slot},
};

pub(super) struct Parameters<'a> {
    pieces: Vec<Piece<'a>>,
    /// Their types.
    types: Vec<String>,
}

impl<'a> Parameters<'a> {
    pub(super) fn of(path: &'a str, taken: &[Slot], known: &Known, types: &Types) -> Self {
        let pieces = pieces(path);
        let names = pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(name, is_rest) => Some((*name, *is_rest)),
            Piece::Text(_) => None,
        });
        let count = names.clone().count();
        let of = |(at, (name, is_rest)): (usize, (&str, bool))| {
            let schema = taken.iter().find_map(|slot| {
                let schema = known.resolve(known.get(*slot));
                schema["properties"]
                    .get(name)
                    .or_else(|| schema["items"].get(at))
                    .or((count == 1).then_some(schema))
            });
            let of = schema.map(|schema| types.of(known.resolve(schema), "  ").text);
            // A function may take it as what is no part of a path, or not at all.
            let is_scalar = |of: &String| {
                of.split(" | ")
                    .all(|of| matches!(of, "string" | "number" | "boolean") || of.starts_with('"'))
            };
            of.filter(|of| is_scalar(of) && !is_rest)
                .unwrap_or_else(|| "string".to_owned())
        };
        let types = names.enumerate().map(of).collect();
        Self { pieces, types }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(name, _) => Some(*name),
            Piece::Text(_) => None,
        })
    }

    /// The type that has them.
    pub(super) fn declared(&self) -> String {
        let members = self
            .names()
            .zip(&self.types)
            .map(|(name, of)| format!("{}: {of}", member(name)));
        let members: Vec<_> = members.collect();
        match members.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", members.join("; ")),
        }
    }

    /// The argument of the function, if there are some.
    pub(super) fn argument(&self, channel: &str) -> String {
        match self.types.is_empty() {
            true => String::new(),
            false => format!("path: {channel}[\"path\"], "),
        }
    }

    /// The expression of the URL.
    pub(super) fn url(&self) -> String {
        let mut url = "base".to_owned();
        for piece in &self.pieces {
            url += &match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => format!(" + {}", literal(text)),
                Piece::Parameter(name, false) => format!(" + segment(path{})", access(name)),
                Piece::Parameter(name, true) => {
                    format!(
                        " + path{}.split(\"/\").map(segment).join(\"/\")",
                        access(name)
                    )
                }
            };
        }
        url
    }
}
