//! The arms of a `match key { .. }`.

use std::collections::HashMap;

use quote::ToTokens;
use syn::{Lit, LitStr, Pat};

use crate::{
    diagnostics::Diagnostics,
    fragment,
    gateway::ast::{self, Arm, Match},
};

pub(super) fn check(routes: &Match, diagnostics: &mut Diagnostics) {
    if routes.key().is_none_or(|key| key != "key") {
        let message = "requests are routed by their `key`: write `match key { .. }`, or match on a value made from it, such as `key.parse::<Action>()`";
        diagnostics.error(&routes.scrutinee, message);
    }
    let mut seen = Seen::default();
    for arm in &routes.arms {
        if let (Some(pattern), true) = (seen.catch_all, arm.attrs.cfg.is_empty()) {
            diagnostics.error(&arm.pattern, never_reached(pattern));
            break;
        }
        seen.add(arm, diagnostics);
    }
    if routes.is_whole && routes.is_on_text() && !routes.has_catch_all() {
        let message = "keys without an arm have no route; add `_ => ..` as the last arm (`_ => NoRoute` answers with an error)";
        diagnostics.error_at(routes.keyword, message);
    }
}

fn never_reached(catch_all: &Pat) -> String {
    let text = fragment::text(&catch_all.to_token_stream());
    let fix = match ast::bare_name(catch_all) {
        Some(name) => format!("put a key in quotes: `\"{name}\"`"),
        None => "write the catch-all last".to_owned(),
    };
    format!("this arm is never reached: `{text}` above it takes every key; {fix}")
}

/// The keys that the arms so far take.
#[derive(Default)]
struct Seen<'a> {
    keys: HashMap<String, &'a LitStr>,
    catch_all: Option<&'a Pat>,
}

impl<'a> Seen<'a> {
    fn add(&mut self, arm: &'a Arm, diagnostics: &mut Diagnostics) {
        let bare = arm.bare_alternatives();
        for name in &bare {
            let message = format!(
                "`{name}` is a name and takes every key; put a key in quotes: `\"{name}\"`"
            );
            diagnostics.error(name, message);
        }
        // Another arm may take the place of one with a condition.
        if !arm.attrs.cfg.is_empty() {
            return;
        }
        let mut keys = Vec::new();
        literal_keys(&arm.pattern, &mut keys);
        for key in keys {
            let text = key.value();
            if let Some(first) = self.keys.get(&text) {
                diagnostics.error(key, format_args!("the key `{text}` is routed twice"));
                diagnostics.error(first, format_args!("`{text}` is routed here first"));
            } else if arm.guard.is_none() {
                self.keys.insert(text, key);
            }
        }
        if arm.is_catch_all() && bare.is_empty() {
            self.catch_all = Some(&arm.pattern);
        }
    }
}

fn literal_keys<'a>(pattern: &'a Pat, keys: &mut Vec<&'a LitStr>) {
    match pattern {
        Pat::Lit(literal) => {
            if let Lit::Str(key) = &literal.lit {
                keys.push(key);
            }
        }
        Pat::Or(or) => or.cases.iter().for_each(|case| literal_keys(case, keys)),
        Pat::Paren(inner) => literal_keys(&inner.pat, keys),
        Pat::Ident(binding) => {
            if let Some((_, pattern)) = &binding.subpat {
                literal_keys(pattern, keys);
            }
        }
        _ => {}
    }
}
