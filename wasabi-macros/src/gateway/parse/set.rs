//! Sets of routes: `routes = [..]` of a channel, and the inside of `routes!(..)`.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{
    Token,
    ext::IdentExt,
    parse::{ParseStream, discouraged::Speculative},
};
use wasabi_rules::{Setting, hint};

use super::{
    syntax::{
        all_entries, attrs, equals, is_named, is_setting, krate, list, undocumented, values,
        without_attributes,
    },
    target::{is_braced, is_form, target},
};
use crate::{
    diagnostics::Diagnostics,
    fragment::Fragment,
    gateway::ast::{Attrs, Listed, Set, Target},
};

const SETTINGS: [&str; 2] = ["middleware", "routes"];

/// Reads `routes = [..]`.
pub(super) fn sets(
    input: ParseStream<'_>,
    attrs: Attrs,
    sets: &mut Vec<Listed>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Ident> {
    let name = input.call(Ident::parse_any)?;
    equals(&name, input, diagnostics)?;
    if attrs.cfg.is_empty() && sets.iter().any(|set| set.cfg.is_empty()) {
        diagnostics.error(&name, "`routes` is set twice; put all sets into one list");
    }
    let read = |input: ParseStream<'_>, diagnostics: &mut Diagnostics| {
        let target = target(input, diagnostics);
        let cfg = attrs.cfg.clone();
        Some(Listed { cfg, target })
    };
    sets.extend(list(input, "`routes`", read, diagnostics));
    Ok(name)
}

pub(crate) fn set(input: TokenStream, diagnostics: &mut Diagnostics) -> Set {
    let mut set = Set::default();
    all_entries(input, diagnostics, |input, diagnostics| {
        part(input, &mut set, diagnostics)
    });
    if let (Target::Missing, true) = (&set.target, set.sets.is_empty())
        && !diagnostics.has_errors()
    {
        let message = "a set of routes needs its routes: write `routes!(State, match key { .. })`";
        diagnostics.error_at(Span::call_site(), message);
    }
    set
}

/// The type of the state, a setting, or the routes.
fn part(input: ParseStream<'_>, set: &mut Set, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    let at = input.span();
    let attrs = attrs(input, diagnostics)?;
    if input.peek(Token![crate]) && is_setting(input) {
        return krate(input, &attrs, &mut set.krate, diagnostics);
    }
    if is_setting(input) {
        undocumented(&attrs, diagnostics);
        return setting(input, attrs, set, diagnostics);
    }
    let message = "put the attributes of a route before its arm";
    without_attributes(&attrs, message, diagnostics);
    let has_routes = !matches!(set.target, Target::Missing);
    if input.peek(Token![match]) || is_form(input, "with") || is_braced(input) {
        let target = target(input, diagnostics);
        if has_routes {
            let message = "a set of routes has one `match`; put the others into `routes = [..]`";
            return Err(syn::Error::new(at, message));
        }
        set.target = target;
        return Ok(());
    }
    let ahead = input.fork();
    let state = ahead
        .parse()
        .ok()
        .filter(|_| ahead.is_empty() || ahead.peek(Token![,]));
    match state {
        Some(state) if !has_routes && set.state.is_none() => {
            input.advance_to(&ahead);
            set.state = Some(state);
            Ok(())
        }
        _ => {
            let message = "expected the routes of the set: `routes!(State, match key { .. })`";
            Err(syn::Error::new(Fragment::parse(input).span(), message))
        }
    }
}

fn setting(
    input: ParseStream<'_>,
    attrs: Attrs,
    set: &mut Set,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    if is_named(input, &["routes"]) {
        sets(input, attrs, &mut set.sets, diagnostics)?;
        return Ok(());
    }
    let name = input.call(Ident::parse_any)?;
    equals(&name, input, diagnostics)?;
    let text = name.to_string();
    if text == "middleware" {
        if attrs.cfg.is_empty() && set.middleware().any(|(cfg, _)| cfg.is_empty()) {
            diagnostics.error(
                &name,
                "`middleware` is set twice; put all of it into one list",
            );
        }
        for middleware in values(input, "`middleware`", diagnostics) {
            set.middleware.push((attrs.cfg.clone(), middleware));
        }
        return Ok(());
    }
    Fragment::parse(input);
    let message = match (text.as_str(), Setting::find(&text)) {
        ("state", _) => {
            "the type of the state comes first: write `routes!(State, match key { .. })`".to_owned()
        }
        (_, Some(_)) => format!(
            "`{text}` is a setting of a channel; a set of routes has `middleware` and `routes`"
        ),
        (_, None) => format!(
            "there is no setting `{text}`{}\nsettings of a set of routes: `middleware`, `routes`",
            hint(&text, SETTINGS.into_iter())
        ),
    };
    Err(syn::Error::new(name.span(), message))
}
