//! Tokens to [`Gateway`]. Skips what it cannot read and reads on.

mod target;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{
    Attribute, Expr, Lit, Meta, Path, Token, bracketed,
    ext::IdentExt,
    parenthesized,
    parse::{ParseStream, Parser},
    token::{Bracket, Paren},
};
use wasabi_rules::{did_you_mean, list};

use self::target::target;
use super::{
    ast::{Attrs, Channel, Gateway, Section, SectionKind, Setting, Target, Value},
    settings::{self, Kind, METHODS},
};
use crate::{diagnostics::Diagnostics, fragment::Fragment};

pub(crate) fn gateway(input: TokenStream, diagnostics: &mut Diagnostics) -> Gateway {
    let mut gateway = Gateway::default();
    let parse = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match section(input, &mut gateway, diagnostics) {
                Ok(()) => comma(input, diagnostics),
                Err(error) => {
                    diagnostics.push(error);
                    skip_past_comma(input);
                }
            }
        }
        Ok(())
    };
    if let Err(error) = parse.parse2(input) {
        diagnostics.push(error);
    }
    gateway
}

fn section(
    input: ParseStream<'_>,
    gateway: &mut Gateway,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    let attrs = attrs(input, diagnostics)?;
    if input.peek(Token![crate]) && is_setting(input) {
        let keyword: Token![crate] = input.parse()?;
        input.parse::<Token![=]>()?;
        let path = input.call(Path::parse_mod_style)?;
        if gateway.krate.replace(path).is_some() {
            diagnostics.error(keyword, "`crate` is set twice");
        }
        return Ok(());
    }
    if input.peek(Token![match]) {
        let message =
            "a `match` is the target of a channel: write `channel(\"/path\", match key { .. })`";
        return Err(syn::Error::new(input.span(), message));
    }
    if is_setting(input) && is_named(input, &Vec::from_iter(settings::calls())) {
        let name = input.call(Ident::parse_any)?;
        let what = match name.to_string().as_str() {
            "channel" => "target",
            "mount" => "service",
            _ => "handler",
        };
        let message = format!("`{name}` is no setting: write `{name}(\"/path\", {what})`");
        return Err(syn::Error::new(name.span(), message));
    }
    if is_setting(input) {
        gateway.settings.push(setting(input, attrs, diagnostics)?);
        return Ok(());
    }
    if !(input.peek(syn::Ident::peek_any) && input.peek2(Paren)) {
        let message = "expected a section of the gateway: `name = value`, `channel(\"/path\", target)`, \
             `get(\"/path\", handler)` or `mount(\"/path\", service)`";
        return Err(syn::Error::new(input.span(), message));
    }
    let name = input.call(Ident::parse_any)?;
    let arguments;
    let parens = parenthesized!(arguments in input);
    let end = parens.span.close();
    let call = name.to_string();
    let section = match call.as_str() {
        "channel" => {
            let path = argument(&arguments, &name, "its path, such as `\"/\"`", diagnostics);
            let (path, channel) = channel(path, &arguments, end, diagnostics);
            Section {
                attrs,
                path,
                kind: SectionKind::Channel(channel),
            }
        }
        "mount" => {
            let path = argument(
                &arguments,
                &name,
                "the path that it is mounted at",
                diagnostics,
            );
            let service = argument(
                &arguments,
                &name,
                "a gateway or a tower service",
                diagnostics,
            );
            finish(&arguments, &name, diagnostics);
            Section {
                attrs,
                path,
                kind: SectionKind::Mount { service },
            }
        }
        method if METHODS.contains(&method) => {
            let path = argument(&arguments, &name, "its path, such as `\"/\"`", diagnostics);
            let handler = argument(
                &arguments,
                &name,
                "a handler, such as `|| async { \"ok\" }`",
                diagnostics,
            );
            finish(&arguments, &name, diagnostics);
            Section {
                attrs,
                path,
                kind: SectionKind::Endpoint {
                    method: name,
                    handler,
                },
            }
        }
        _ => {
            drain(&arguments);
            let hint = hint(&call, settings::calls());
            let calls = list(settings::calls());
            diagnostics.error(
                name,
                format_args!("there is no section `{call}(..)`{hint}\nsections: {calls}"),
            );
            return Ok(());
        }
    };
    gateway.sections.push(section);
    Ok(())
}

fn hint<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match did_you_mean(found, names) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
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
        let message = "the path has no name: it is the first argument, without `path =`";
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

/// Whether `name =` stands next, or `name:`, which is a slip.
fn is_setting(input: ParseStream<'_>) -> bool {
    let is_equals = input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>]);
    let is_colon = input.peek2(Token![:]) && !input.peek2(Token![::]);
    input.peek(syn::Ident::peek_any) && (is_equals || is_colon)
}

fn is_named(input: ParseStream<'_>, names: &[&str]) -> bool {
    let name = input.fork().call(Ident::parse_any);
    name.is_ok_and(|name| names.contains(&&*name.to_string()))
}

/// Reads on behind the `name =` of something that has none.
fn skip_name(input: ParseStream<'_>) {
    for _ in 0..2 {
        let _ = input.parse::<TokenTree>();
    }
}

fn setting(
    input: ParseStream<'_>,
    attrs: Attrs,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Setting> {
    let name = input.call(Ident::parse_any)?;
    let equals = input.span();
    if input.parse::<Option<Token![:]>>()?.is_some() {
        diagnostics.error_at(equals, format_args!("expected `=`: write `{name} = ..`"));
    } else {
        input.parse::<Token![=]>()?;
    }
    let is_list = settings::find(&name.to_string()).is_some_and(|known| known.kind == Kind::List);
    let value = if is_list {
        Value::List(values(input, &format!("`{name}`"), diagnostics))
    } else {
        let value = Fragment::parse(input);
        if value.is_empty() {
            diagnostics.error_at(
                equals,
                format_args!("expected a value for `{name}` after `=`"),
            );
        }
        Value::One(value)
    };
    Ok(Setting { attrs, name, value })
}

/// `[a, b, c]`.
fn values(input: ParseStream<'_>, what: &str, diagnostics: &mut Diagnostics) -> Vec<Fragment> {
    let mut values = Vec::new();
    let span = input.span();
    // `[a].concat()` is no list; `[a] b` lacks a comma.
    let goes_on = input.peek2(Token![.]) || input.peek2(Token![?]) || input.peek2(Bracket);
    if !input.peek(Bracket) || goes_on {
        let found = Fragment::parse(input);
        let message = format!("{what} is a list in brackets: write `[{}]`", found.text());
        diagnostics.error_at(span, message);
        return values;
    }
    let parsed = (|| {
        let list;
        bracketed!(list in input);
        while !list.is_empty() {
            let value = Fragment::parse(&list);
            if value.is_empty() {
                diagnostics.error_at(list.span(), "expected an expression before this `,`");
            } else {
                values.push(value);
            }
            comma(&list, diagnostics);
        }
        Ok(())
    })();
    if let Err(error) = parsed {
        diagnostics.push(error);
    }
    values
}

/// A channel behind its path, and the path again.
fn channel(
    path: Fragment,
    input: ParseStream<'_>,
    end: Span,
    diagnostics: &mut Diagnostics,
) -> (Fragment, Channel) {
    if input.is_empty() && !path.is_empty() && path.string().is_none() {
        let message = format!(
            "a channel has a path and a target, and here is one argument: write `channel(\"/path\", {})`",
            path.text()
        );
        diagnostics.error(&path, message);
        let target = Target::Missing;
        let settings = Vec::new();
        return (Fragment::empty(end), Channel { settings, target });
    }
    let mut channel = Channel {
        settings: Vec::new(),
        target: Target::Missing,
    };
    let mut has_target = false;
    while !input.is_empty() {
        let at = input.span();
        let parsed = attrs(input, diagnostics).and_then(|attrs| {
            if is_setting(input) && is_named(input, &["target"]) {
                let message = "the target has no name: it is the last argument, without `target =`";
                diagnostics.error_at(at, message);
                skip_name(input);
            } else if is_setting(input) {
                let setting = setting(input, attrs, diagnostics)?;
                if has_target {
                    let message = format!("`{}` stands behind the target; settings come before it", setting.name);
                    return Err(syn::Error::new_spanned(&setting.name, message));
                }
                channel.settings.push(setting);
                return Ok(());
            }
            if !attrs.docs.is_empty() || !attrs.cfg.is_empty() {
                diagnostics.error_at(at, "attributes of a channel stand before `channel`, those of a route before its arm");
            }
            let target = target(input, diagnostics);
            if has_target {
                let message = "a channel has one target; put several into `match key { .. }` or `balance([..])`";
                return Err(syn::Error::new(at, message));
            }
            has_target = true;
            channel.target = target;
            Ok(())
        });
        match parsed {
            Ok(()) => comma(input, diagnostics),
            Err(error) => {
                diagnostics.push(error);
                skip_past_comma(input);
            }
        }
    }
    if !has_target {
        let message =
            "the channel has no target; its last argument is a backend, or `match key { .. }`";
        diagnostics.error_at(end, message);
    }
    (path, channel)
}

fn attrs(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Attrs> {
    let mut attrs = Attrs::default();
    for attr in input.call(Attribute::parse_outer)? {
        if attr.path().is_ident("cfg") {
            attrs.cfg.push(attr);
        } else if let (true, Meta::NameValue(doc)) = (attr.path().is_ident("doc"), &attr.meta) {
            // The expression of `#[doc = include_str!(..)]` is not known here.
            if let Expr::Lit(literal) = &doc.value
                && let Lit::Str(line) = &literal.lit
            {
                let line = line.value();
                if !attrs.docs.is_empty() {
                    attrs.docs.push('\n');
                }
                attrs.docs.push_str(line.strip_prefix(' ').unwrap_or(&line));
            }
        } else if attr
            .path()
            .segments
            .first()
            .is_none_or(|segment| segment.ident != "rustfmt")
        {
            diagnostics.error(&attr, "only `///` and `#[cfg(..)]` may stand here");
        }
    }
    Ok(attrs)
}

/// A comma, or the end; anything else is reported and left where it is.
fn comma(input: ParseStream<'_>, diagnostics: &mut Diagnostics) {
    if let Ok(Some(semicolon)) = input.parse::<Option<Token![;]>>() {
        diagnostics.error(semicolon, "expected `,` instead of `;`");
        return;
    }
    if !input.is_empty() && input.parse::<Token![,]>().is_err() {
        diagnostics.error_at(input.span(), "expected `,` before this");
        // What follows may be the rest of something broken. Only what starts like something new is read on.
        let starts = input.peek(syn::LitStr)
            || (input.peek(syn::Ident) && (input.peek2(Paren) || is_setting(input)));
        if !starts {
            skip_past_comma(input);
        }
    }
}

fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() && input.parse::<Token![,]>().is_err() {
        if input.parse::<TokenTree>().is_err() {
            break;
        }
    }
}

/// Reports what stands behind the last argument.
fn finish(input: ParseStream<'_>, call: &Ident, diagnostics: &mut Diagnostics) {
    if !input.is_empty() {
        diagnostics.error(
            drain(input),
            format_args!("`{call}(..)` has no such argument"),
        );
    }
}

fn drain(input: ParseStream<'_>) -> TokenStream {
    let mut rest = quote!();
    while let Ok(tree) = input.parse::<TokenTree>() {
        rest.extend([tree]);
    }
    rest
}
