//! From tokens to [`Gateway`]. The parser skips what it cannot read and goes on.

mod set;
mod setting;
mod syntax;
mod target;

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Token, ext::IdentExt, parenthesized, parse::ParseStream, token::Paren};
use wasabi_rules::{hint, list};

pub(crate) use self::set::set;
use self::{
    set::sets,
    setting::{Owner, setting},
    syntax::{
        all_entries, attrs, comma, drain, entries, finish, is_named, is_setting, krate, skip_name,
        undocumented, without_attributes,
    },
    target::target,
};
use super::ast::{Attrs, Channel, EndpointMethod, Gateway, Section, SectionKind};
use crate::{diagnostics::Diagnostics, fragment::Fragment};

pub(crate) fn gateway(input: TokenStream, diagnostics: &mut Diagnostics) -> Gateway {
    let mut gateway = Gateway::default();
    all_entries(input, diagnostics, |input, diagnostics| {
        entry(input, &mut gateway, diagnostics)
    });
    gateway
}

/// The names of the sections.
fn sections() -> impl Iterator<Item = &'static str> {
    let methods = EndpointMethod::ALL.into_iter().map(EndpointMethod::name);
    ["channel", "mount"].into_iter().chain(methods)
}

/// A setting or a section.
fn entry(
    input: ParseStream<'_>,
    gateway: &mut Gateway,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    let attrs = attrs(input, diagnostics)?;
    if input.peek(Token![crate]) && is_setting(input) {
        return krate(input, &attrs, &mut gateway.krate, diagnostics);
    }
    if input.peek(Token![match]) {
        let message =
            "a `match` is the target of a channel: write `channel(\"/path\", match key { .. })`";
        return Err(syn::Error::new(input.span(), message));
    }
    if is_setting(input) && is_named(input, &Vec::from_iter(sections())) {
        let name = input.call(Ident::parse_any)?;
        let what = match name.to_string().as_str() {
            "channel" => "target",
            "mount" => "service",
            _ => "handler",
        };
        let message =
            format!("`{name}` is a section, not a setting: write `{name}(\"/path\", {what})`");
        return Err(syn::Error::new(name.span(), message));
    }
    if is_setting(input) {
        undocumented(&attrs, diagnostics);
        setting(
            input,
            attrs,
            Owner::Gateway,
            &mut gateway.settings,
            diagnostics,
        )?;
        return Ok(());
    }
    if !(input.peek(syn::Ident::peek_any) && input.peek2(Paren)) {
        let message = "expected a section of the gateway: `name = value`, `channel(\"/path\", target)`, \
             `get(\"/path\", handler)` or `mount(\"/path\", service)`";
        return Err(syn::Error::new(input.span(), message));
    }
    gateway.sections.extend(section(input, attrs, diagnostics)?);
    Ok(())
}

/// `name(..)`.
fn section(
    input: ParseStream<'_>,
    attrs: Attrs,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<Section>> {
    const PATH: &str = "its path, such as `\"/\"`";
    let name = input.call(Ident::parse_any)?;
    let arguments;
    let parens = parenthesized!(arguments in input);
    let end = parens.span.close();
    let text = name.to_string();
    let method = EndpointMethod::ALL
        .into_iter()
        .find(|method| method.name() == text);
    let mut next = |what| argument(&arguments, &name, what, diagnostics);
    let (path, kind) = match (text.as_str(), method) {
        ("channel", _) => {
            let path = next(PATH);
            let (path, channel) = channel(path, &arguments, end, diagnostics);
            (path, SectionKind::Channel(channel))
        }
        ("mount", _) => {
            let path = next("the path that it is mounted at");
            let service = next("a gateway or a tower service");
            finish(&arguments, &name, diagnostics);
            (path, SectionKind::Mount { service })
        }
        (_, Some(method)) => {
            let path = next(PATH);
            let handler = next("a handler, such as `|| async { \"ok\" }`");
            finish(&arguments, &name, diagnostics);
            (path, SectionKind::Endpoint { method, handler })
        }
        (_, None) => {
            drain(&arguments);
            let (hint, names) = (hint(&text, sections()), list(sections()));
            let message = format!("there is no section `{text}(..)`{hint}\nsections: {names}");
            diagnostics.error(name, message);
            return Ok(None);
        }
    };
    Ok(Some(Section { attrs, path, kind }))
}

/// The next argument of a section, and the comma behind it.
fn argument(
    input: ParseStream<'_>,
    section: &Ident,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Fragment {
    let expected = || format!("expected {what}, in `{section}(..)`");
    if is_setting(input) {
        let at = input.span();
        if !is_named(input, &["path"]) {
            diagnostics.error_at(at, expected());
            return Fragment::empty(at);
        }
        let message = "the path is the first argument: remove `path =`";
        diagnostics.error_at(at, message);
        skip_name(input);
    }
    let argument = Fragment::parse(input);
    if argument.is_empty() {
        diagnostics.error_at(argument.span(), expected());
    }
    comma(input, diagnostics);
    argument
}

/// Reads a channel after its path, and returns both.
fn channel(
    path: Fragment,
    input: ParseStream<'_>,
    end: Span,
    diagnostics: &mut Diagnostics,
) -> (Fragment, Channel) {
    if input.is_empty() && !path.is_empty() && path.string().is_none() {
        let message = format!(
            "a channel needs a path and a target, but has one argument: write `channel(\"/path\", {})`",
            path.text()
        );
        diagnostics.error(&path, message);
        return (Fragment::empty(end), Channel::default());
    }
    let mut channel = Channel::default();
    let mut has_target = false;
    entries(input, diagnostics, |input, diagnostics| {
        part(input, &mut channel, &mut has_target, diagnostics)
    });
    if !has_target {
        let message =
            "the channel has no target; its last argument must be a backend or `match key { .. }`";
        diagnostics.error_at(end, message);
    }
    (path, channel)
}

/// A setting of a channel, or its target.
fn part(
    input: ParseStream<'_>,
    channel: &mut Channel,
    has_target: &mut bool,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    let at = input.span();
    let attrs = attrs(input, diagnostics)?;
    if is_setting(input) && is_named(input, &["target"]) {
        let message = "the target is the last argument: remove `target =`";
        diagnostics.error_at(at, message);
        skip_name(input);
    } else if is_setting(input) {
        undocumented(&attrs, diagnostics);
        let name = match is_named(input, &["routes"]) {
            true => sets(input, attrs, &mut channel.sets, diagnostics)?,
            false => setting(
                input,
                attrs,
                Owner::Channel,
                &mut channel.settings,
                diagnostics,
            )?,
        };
        if *has_target {
            let message = format!("`{name}` comes after the target; move it before the target");
            return Err(syn::Error::new_spanned(name, message));
        }
        return Ok(());
    }
    let message =
        "put attributes of a channel before `channel`, and those of a route before its arm";
    without_attributes(&attrs, message, diagnostics);
    let target = target(input, diagnostics);
    if *has_target {
        let message =
            "a channel has one target; put several into `match key { .. }` or `balance([..])`";
        return Err(syn::Error::new(at, message));
    }
    *has_target = true;
    channel.target = target;
    Ok(())
}
