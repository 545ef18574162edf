//! Rules that need more than one token.

mod orders;
mod parameters;
mod paths;
mod protocols;
mod routes;
mod times;
mod urls;
mod warnings;

use syn::Attribute;
use wasabi_rules::nodes;

use self::{paths::Paths, routes::Keys};
use super::ast::{Channel, Gateway, Listed, Match, SectionKind, Set, Target};
use crate::diagnostics::Diagnostics;

pub(crate) fn gateway(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    let mut paths = Paths::default();
    for section in &gateway.sections {
        paths.add(section, diagnostics);
        if let SectionKind::Channel(Channel { sets, target, .. }) = &section.kind {
            let mut keys = Keys::default();
            for set in sets {
                check_listed(set, &mut keys, diagnostics);
            }
            check_target(target, &mut keys, diagnostics);
        }
    }
    protocols::check(gateway, diagnostics);
    urls::check(gateway, diagnostics);
    parameters::check(gateway, diagnostics);
    warnings::check(gateway, diagnostics);
}

/// Checks what `routes!` contains.
pub(crate) fn set(set: &Set, diagnostics: &mut Diagnostics) {
    let mut keys = Keys::default();
    for set in &set.sets {
        check_listed(set, &mut keys, diagnostics);
    }
    check_set(&set.target, &mut keys, diagnostics);
    if let (Target::With { target, .. }, None) = (&set.target, set.target.routes())
        && let Target::Expr(target) = &**target
    {
        let message =
            "a set of routes needs a `match key { .. }` here; sets are listed in `routes = [..]`";
        diagnostics.error(target, message);
    }
    warnings::check_set(set, diagnostics);
}

fn check_listed<'a>(set: &'a Listed, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    with_condition(&set.cfg, keys, |keys| {
        check_set(&set.target, keys, diagnostics);
    });
}

/// What has a condition is compared with what has none, and not with what may be there in its place.
fn with_condition<'a>(cfg: &[Attribute], keys: &mut Keys<'a>, check: impl FnOnce(&mut Keys<'a>)) {
    match cfg.is_empty() {
        true => check(keys),
        false => check(&mut keys.clone()),
    }
}

fn check_set<'a>(target: &'a Target, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    match target {
        Target::Missing | Target::Expr(_) => {}
        Target::With { target, .. } => check_set(target, keys, diagnostics),
        Target::Balance { keyword, .. } => {
            let message = "`balance` is not a set of routes; put it into an arm";
            diagnostics.error_at(*keyword, message);
        }
        Target::Match(matched) => {
            routes::check_set(matched, keys, diagnostics);
            check_arms(matched, keys, diagnostics);
        }
    }
}

fn check_target<'a>(target: &'a Target, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    match target {
        Target::Missing | Target::Expr(_) => {}
        Target::With { target, .. } => check_target(target, keys, diagnostics),
        Target::Balance {
            keyword,
            nodes: all,
        } => {
            if let Err(message) = nodes(all.len()) {
                diagnostics.error_at(*keyword, message);
            }
            for node in all {
                check_target(&node.target, &mut Keys::default(), diagnostics);
            }
        }
        Target::Match(matched) => {
            routes::check(matched, keys, diagnostics);
            check_arms(matched, keys, diagnostics);
        }
    }
}

/// What is inside of the catch-all gets no key that another arm takes.
fn check_arms<'a>(routes: &'a Match, keys: &mut Keys<'a>, diagnostics: &mut Diagnostics) {
    for arm in &routes.arms {
        match routes.is_on_key() && arm.is_catch_all() {
            true => with_condition(&arm.attrs.cfg, keys, |keys| {
                check_target(&arm.target, keys, diagnostics);
            }),
            false => check_target(&arm.target, &mut Keys::default(), diagnostics),
        }
    }
}
