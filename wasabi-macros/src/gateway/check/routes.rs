//! The arms of a `match key { .. }`.

use std::collections::HashMap;

use quote::ToTokens;
use syn::{LitStr, Pat};

use crate::{
    diagnostics::Diagnostics,
    fragment,
    gateway::ast::{self, Arm, KeyPattern, Match},
};

/// Literal keys that arms take without a condition.
pub(super) type Keys<'a> = HashMap<String, &'a LitStr>;

/// Checks a `match` that must answer every key. `keys` are those that others have taken.
pub(super) fn check<'a>(routes: &'a Match, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    check_arms(routes, keys, diagnostics);
    if routes.is_whole && routes.is_on_text() && !routes.has_catch_all() {
        let message = "keys without an arm have no route; add `_ => ..` as the last arm (`_ => NoRoute` answers with an error)";
        diagnostics.error_at(routes.keyword, message);
    }
}

/// Checks the `match` of a set, which answers only its own keys.
pub(super) fn check_set<'a>(routes: &'a Match, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    check_arms(routes, keys, diagnostics);
    let catch_all = |arm: &&Arm| arm.is_catch_all() && arm.bare_alternatives().is_empty();
    if let Some(arm) = routes.arms.iter().find(catch_all) {
        let text = fragment::text(&arm.pattern.to_token_stream());
        let fix = match ast::bare_name(&arm.pattern) {
            Some(name) => format!("put a key in quotes: `\"{name}\"`"),
            None => "remove the arm; the channel answers all other keys".to_owned(),
        };
        let message = format!("`{text}` takes every key, and a set of routes only its own: {fix}");
        diagnostics.error(&arm.pattern, message);
    }
}

fn check_arms<'a>(routes: &'a Match, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    if routes.key().is_none_or(|key| key != "key") {
        let message = "requests are routed by their `key`: write `match key { .. }`, or match on a value made from it, such as `key.parse::<Action>()`";
        diagnostics.error(&routes.scrutinee, message);
    }
    // The same text is another key if the match is on something made from the key.
    let mut own = Keys::new();
    let keys = match routes.is_on_key() {
        true => keys,
        false => &mut own,
    };
    let mut seen = Seen {
        keys,
        catch_all: None,
    };
    for arm in &routes.arms {
        if let (Some(pattern), true) = (seen.catch_all, arm.attrs.cfg.is_empty()) {
            diagnostics.error(&arm.pattern, never_reached(pattern));
            break;
        }
        seen.add(arm, diagnostics);
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
struct Seen<'a, 'k> {
    keys: &'k mut Keys<'a>,
    catch_all: Option<&'a Pat>,
}

impl<'a> Seen<'a, '_> {
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
        for key in ast::keys(&arm.pattern) {
            let KeyPattern::Literal(key) = key else {
                continue;
            };
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
