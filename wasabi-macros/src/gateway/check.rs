//! Rules that need more than one token.

mod paths;
mod routes;
mod urls;
mod warnings;

use wasabi_rules::nodes;

use self::paths::Paths;
use super::ast::{Channel, Gateway, SectionKind, Target};
use crate::diagnostics::Diagnostics;

pub(crate) fn gateway(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    let mut paths = Paths::default();
    for section in &gateway.sections {
        paths.add(section, diagnostics);
        if let SectionKind::Channel(Channel { target, .. }) = &section.kind {
            check_target(target, diagnostics);
        }
    }
    urls::check(gateway, diagnostics);
    warnings::check(gateway, diagnostics);
}

fn check_target(target: &Target, diagnostics: &mut Diagnostics) {
    match target {
        Target::Missing | Target::Expr(_) => {}
        Target::With { target, .. } => check_target(target, diagnostics),
        Target::Balance {
            keyword,
            nodes: all,
        } => {
            if let Err(message) = nodes(all.len()) {
                diagnostics.error_at(*keyword, message);
            }
            for node in all {
                check_target(&node.target, diagnostics);
            }
        }
        Target::Match(routes) => {
            routes::check(routes, diagnostics);
            for arm in &routes.arms {
                check_target(&arm.target, diagnostics);
            }
        }
    }
}
