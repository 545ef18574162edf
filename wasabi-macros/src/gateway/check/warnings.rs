//! Warnings about declarations that compile, but probably do something else than intended.

use proc_macro2::{Span, TokenStream};
use syn::Attribute;

use crate::{
    diagnostics::Diagnostics,
    fragment::{Call, Fragment, calls, elements, mentions, string},
    gateway::{
        ast::{Gateway, SectionKind, Set, Target},
        settings::Settings,
    },
    units,
};

pub(super) fn check(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    let mut around = Vec::new();
    push_all(
        always(gateway.settings.middleware()),
        &mut around,
        diagnostics,
    );
    origins(&gateway.settings, &Settings::default(), diagnostics);
    for section in &gateway.sections {
        if let SectionKind::Channel(channel) = &section.kind {
            let settings = &channel.settings;
            let outside = around.len();
            push_all(always(settings.middleware()), &mut around, diagnostics);
            for target in channel.targets() {
                inside(target, &mut around, diagnostics);
            }
            around.truncate(outside);
            origins(settings, &gateway.settings, diagnostics);
        }
    }
}

pub(super) fn check_set(set: &Set, diagnostics: &mut Diagnostics) {
    let mut around = Vec::new();
    push_all(always(set.middleware()), &mut around, diagnostics);
    let sets = set.sets.iter().map(|set| &set.target);
    for target in sets.chain([&set.target]) {
        inside(target, &mut around, diagnostics);
    }
}

fn inside<'a>(target: &'a Target, around: &mut Vec<&'a Fragment>, diagnostics: &mut Diagnostics) {
    let outside = around.len();
    match target {
        Target::Missing => {}
        Target::Expr(target) => around
            .iter()
            .for_each(|middleware| shared(middleware, target, diagnostics)),
        Target::With { middleware, target } => {
            push_all(middleware, around, diagnostics);
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
    around.truncate(outside);
}

/// What is not configured out: settings with a `#[cfg]` may exclude each other.
fn always<'a>(
    middleware: impl Iterator<Item = (&'a [Attribute], &'a Fragment)>,
) -> impl Iterator<Item = &'a Fragment> {
    middleware.filter_map(|(cfg, middleware)| cfg.is_empty().then_some(middleware))
}

fn push_all<'a>(
    middleware: impl IntoIterator<Item = &'a Fragment>,
    around: &mut Vec<&'a Fragment>,
    diagnostics: &mut Diagnostics,
) {
    for fragment in middleware {
        around
            .iter()
            .for_each(|outer| pair(outer, fragment, diagnostics));
        around.push(fragment);
    }
}

/// Checks one middleware around another.
fn pair(outer: &Fragment, inner: &Fragment, diagnostics: &mut Diagnostics) {
    let (Some(around), Some(within)) = (first_call(outer), first_call(inner)) else {
        return;
    };
    match (around.owner.as_deref(), within.owner.as_deref()) {
        (Some("Timeout"), Some("Retry")) => {
            let timeout = around.args.first().and_then(units::micros);
            if let (Some(timeout), Some(pauses)) = (timeout, pauses(inner))
                && timeout < pauses
            {
                let note = format!(
                    "the pauses between the retries add up to {}, and the timeout of {} around them may end before \
                     that: the last retries are never made. Raise the timeout, or retry less",
                    duration(pauses),
                    duration(timeout),
                );
                diagnostics.warning(around.span, "TIMEOUT_SHORTER_THAN_ITS_RETRIES", note);
            }
        }
        (Some("Cache"), Some("RateLimit")) => {
            let note = "the limit inside the cache does not count replies from the cache. Put the limit before the cache";
            diagnostics.warning(within.span, "RATE_LIMIT_INSIDE_A_CACHE", note);
        }
        _ => {}
    }
}

/// Checks for a cache shared by all clients around a target that depends on the client.
fn shared(middleware: &Fragment, target: &Fragment, diagnostics: &mut Diagnostics) {
    let made = calls(middleware.tokens());
    if made.first().and_then(|call| call.owner.as_deref()) != Some("Cache") {
        return;
    }
    let has = |name: &str| made.iter().find(|call| call.is_method && call.name == name);
    if let (Some(shared), None) = (has("shared"), has("by"))
        && let Some(what) = what_of_the_client(target.tokens())
    {
        let note = format!(
            "one client gets what was made for another, and {what} of the client goes into it. Leave `shared()` out, or \
             give the cache a key with `by`"
        );
        diagnostics.warning(
            shared.name.span(),
            "SHARED_REPLIES_DEPEND_ON_THE_CLIENT",
            note,
        );
    }
}

/// What the target visibly takes from the client.
fn what_of_the_client(target: &TokenStream) -> Option<String> {
    const OF_TRACES: [&str; 5] = [
        "baggage",
        "traceparent",
        "tracestate",
        "x-correlation-id",
        "x-request-id",
    ];
    let forwarded = calls(target).into_iter().find_map(|call| {
        let name = call.name.to_string();
        if call.is_method && name == "header_with" {
            return string(call.args.first()?).map(|name| name.value());
        }
        if call.is_method && matches!(name.as_str(), "forwarded" | "forwarded_for") {
            return Some(if name == "forwarded" {
                name
            } else {
                "x-forwarded-for".to_owned()
            });
        }
        let forwards = matches!(
            name.as_str(),
            "forward_headers" | "forward_query" | "require_headers" | "require_query"
        );
        if !call.is_method || !forwards {
            return None;
        }
        let names = elements(call.args.first()?)?;
        let names = names.iter().filter_map(string);
        let mut names = names.map(|name| name.value());
        names.find(|name| !OF_TRACES.contains(&name.to_ascii_lowercase().as_str()))
    });
    match forwarded {
        Some(name) => Some(format!("`{name}`")),
        None => mentions(target, "Identity").then(|| "the `Identity`".to_owned()),
    }
}

fn first_call(fragment: &Fragment) -> Option<Call> {
    calls(fragment.tokens()).into_iter().next()
}

/// The sum of the pauses of a retry, in microseconds.
fn pauses(retry: &Fragment) -> Option<u64> {
    const LONGEST: u64 = 30_000_000;
    const RETRIES: u32 = 3;
    let calls = calls(retry.tokens());
    let new = calls.first()?;
    if new.name != "new" {
        return None;
    }
    let backoff = calls
        .iter()
        .find(|call| call.owner.as_deref() == Some("Backoff") && !call.is_method)?;
    let mut pause = units::micros(backoff.args.first()?)?;
    let factor = match backoff.name.to_string().as_str() {
        "exponential" => 2,
        "constant" => 1,
        _ => return None,
    };
    let set = |name: &str| {
        calls
            .iter()
            .find(|call| call.is_method && call.name == name)
    };
    let retries = match set("retries") {
        Some(call) => {
            let retries: syn::LitInt = syn::parse2(call.args.first()?.clone()).ok()?;
            retries.base10_parse::<u32>().ok()?
        }
        None => RETRIES,
    };
    let longest = match set("max_pause") {
        Some(call) => units::micros(call.args.first()?)?,
        None => LONGEST,
    };
    let mut total = 0u64;
    for _ in 0..retries.min(1000) {
        total = total.saturating_add(pause.min(longest));
        pause = pause.saturating_mul(factor);
    }
    Some(total)
}

fn duration(micros: u64) -> String {
    match micros {
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros.is_multiple_of(1000) => format!("{}ms", micros / 1000),
        _ => format!("{micros}us"),
    }
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
