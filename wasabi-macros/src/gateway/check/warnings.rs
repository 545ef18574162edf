//! Warnings about declarations that compile, but probably do something else than intended.

use proc_macro2::{Span, TokenStream};
use syn::Attribute;

use super::orders::Orders;
use crate::{
    diagnostics::Diagnostics,
    fragment::{Fragment, calls, string},
    gateway::{
        ast::{Gateway, SectionKind, Set, Target},
        settings::Settings,
    },
};

pub(super) fn check(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    let (mut http, mut request) = (Orders::of_http(), Orders::of_requests());
    http.enter(always(gateway.settings.http()), diagnostics);
    request.enter(always(gateway.settings.middleware()), diagnostics);
    origins(&gateway.settings, &Settings::default(), diagnostics);
    for section in &gateway.sections {
        if let SectionKind::Channel(channel) = &section.kind {
            let settings = &channel.settings;
            let outside = (http.depth(), request.depth());
            http.enter(always(settings.http()), diagnostics);
            request.enter(always(settings.middleware()), diagnostics);
            for target in channel.targets() {
                inside(target, &mut request, diagnostics);
            }
            http.leave(outside.0);
            request.leave(outside.1);
            origins(settings, &gateway.settings, diagnostics);
        }
    }
}

pub(super) fn check_set(set: &Set, diagnostics: &mut Diagnostics) {
    let mut request = Orders::of_requests();
    request.enter(always(set.middleware()), diagnostics);
    let sets = set.sets.iter().map(|set| &set.target);
    for target in sets.chain([&set.target]) {
        inside(target, &mut request, diagnostics);
    }
}

/// What is not configured out: settings with a `#[cfg]` may exclude each other.
fn always<'a>(
    middleware: impl Iterator<Item = (&'a [Attribute], &'a Fragment)>,
) -> impl Iterator<Item = &'a Fragment> {
    middleware.filter_map(|(cfg, middleware)| cfg.is_empty().then_some(middleware))
}

fn inside(target: &Target, around: &mut Orders, diagnostics: &mut Diagnostics) {
    let outside = around.depth();
    match target {
        Target::Missing => {}
        Target::Expr(target) => around.target(target, diagnostics),
        Target::With { middleware, target } => {
            around.enter(middleware, diagnostics);
            inside(target, around, diagnostics);
        }
        Target::Balance { nodes, .. } => nodes
            .iter()
            .for_each(|node| inside(&node.target, around, diagnostics)),
        Target::Match(routes) => routes
            .arms
            .iter()
            .for_each(|arm| inside(&arm.target, around, diagnostics)),
    }
    around.leave(outside);
}

/// Checks for an origin `*` beside credentials that browsers send automatically.
fn origins(settings: &Settings, outer: &Settings, diagnostics: &mut Diagnostics) {
    let has_cookie = |auth: &Fragment| {
        let calls = calls(auth.tokens());
        calls
            .iter()
            .any(|call| call.is_method && call.name == "cookie")
    };
    let automatic = outer.http().chain(settings.http()).find_map(|(_, auth)| {
        let name = auth.name();
        let is_automatic = name == "BasicAuth"
            || name.starts_with("Cookie")
            || name.starts_with("Session")
            || has_cookie(auth);
        is_automatic.then_some(name)
    });
    let own = star(settings);
    // A channel inherits the gateway's origins. If the gateway also has the login, the warning is there already.
    let any = own.or_else(|| {
        let has_own = settings.http().next().is_some();
        has_own.then(|| star(outer)).flatten()
    });
    if let (Some(span), Some(auth)) = (any, automatic) {
        let note = format!(
            "browsers send the credentials for `{auth}` automatically, so with the origin `*` any web page can act as the user. \
             List the origins of your own pages"
        );
        diagnostics.warning(span, "EVERY_ORIGIN_WITH_AUTOMATIC_LOGIN", note);
    }
}

fn star(settings: &Settings) -> Option<Span> {
    let is_star = |element: &TokenStream| string(element).filter(|text| text.value() == "*");
    let elements = settings.origins()?.elements()?;
    elements.iter().find_map(is_star).map(|star| star.span())
}
