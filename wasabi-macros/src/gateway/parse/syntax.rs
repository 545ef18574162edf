//! Commas, lists, attributes and names of settings.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprLit, Lit, Meta, Path, Token, bracketed,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    token::{Bracket, Paren},
};

use crate::{diagnostics::Diagnostics, fragment::Fragment, gateway::ast::Attrs};

/// Whether `name =` comes next, or `name:`, a common slip.
pub(super) fn is_setting(input: ParseStream<'_>) -> bool {
    let is_equals = input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>]);
    let is_colon = input.peek2(Token![:]) && !input.peek2(Token![::]);
    input.peek(syn::Ident::peek_any) && (is_equals || is_colon)
}

pub(super) fn is_named(input: ParseStream<'_>, names: &[&str]) -> bool {
    let name = input.fork().call(Ident::parse_any);
    name.is_ok_and(|name| names.contains(&&*name.to_string()))
}

/// Skips `name =`.
pub(super) fn skip_name(input: ParseStream<'_>) {
    for _ in 0..2 {
        let _ = input.parse::<TokenTree>();
    }
}

/// Reads the `=` after the name of a setting, and returns its place.
pub(super) fn equals(
    name: &Ident,
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Span> {
    let at = input.span();
    if input.parse::<Option<Token![:]>>()?.is_some() {
        diagnostics.error_at(at, format_args!("expected `=`: write `{name} = ..`"));
    } else {
        input.parse::<Token![=]>()?;
    }
    Ok(at)
}

/// `[a, b, c]`.
pub(super) fn values(
    input: ParseStream<'_>,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Vec<Fragment> {
    let read = |input: ParseStream<'_>, diagnostics: &mut Diagnostics| {
        let value = Fragment::parse(input);
        if value.is_empty() {
            diagnostics.error_at(input.span(), "expected an expression before this `,`");
            return None;
        }
        Some(value)
    };
    list(input, what, read, diagnostics)
}

/// `[a, b, c]`, whose elements `read` reads.
pub(super) fn list<T>(
    input: ParseStream<'_>,
    what: &str,
    mut read: impl FnMut(ParseStream<'_>, &mut Diagnostics) -> Option<T>,
    diagnostics: &mut Diagnostics,
) -> Vec<T> {
    let mut values = Vec::new();
    let span = input.span();
    // `[a].concat()` is not a list; `[a] b` lacks a comma.
    let goes_on = input.peek2(Token![.]) || input.peek2(Token![?]) || input.peek2(Bracket);
    if !input.peek(Bracket) || goes_on {
        let found = Fragment::parse(input);
        let message = format!(
            "{what} must be a list in brackets: write `[{}]`",
            found.text()
        );
        diagnostics.error_at(span, message);
        return values;
    }
    let parsed = (|| {
        let list;
        bracketed!(list in input);
        while !list.is_empty() {
            let attrs = attrs(&list, diagnostics)?;
            let message = format!(
                "an element of a list cannot have attributes: put `#[cfg(..)]` before the setting and its list; {what} may be set \
                 once more without it"
            );
            without_attributes(&attrs, &message, diagnostics);
            values.extend(read(&list, diagnostics));
            comma(&list, diagnostics);
        }
        Ok(())
    })();
    if let Err(error) = parsed {
        diagnostics.push(error);
    }
    values
}

pub(super) fn attrs(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Attrs> {
    let mut attrs = Attrs::default();
    for attr in input.call(Attribute::parse_outer)? {
        if attr.path().is_ident("cfg") {
            attrs.cfg.push(attr);
        } else if let (true, Meta::NameValue(doc)) = (attr.path().is_ident("doc"), &attr.meta) {
            let Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) = &doc.value
            else {
                let message = "the text of the documentation must be written here: use `///`";
                diagnostics.error(&doc.value, message);
                continue;
            };
            let line = line.value();
            if attrs.documented_at.is_some() {
                attrs.docs.push('\n');
            }
            attrs.documented_at.get_or_insert(attr.pound_token.span);
            attrs.docs.push_str(line.strip_prefix(' ').unwrap_or(&line));
        } else if attr
            .path()
            .segments
            .first()
            .is_none_or(|segment| segment.ident != "rustfmt")
        {
            diagnostics.error(&attr, "only `///` and `#[cfg(..)]` are allowed here");
        }
    }
    Ok(attrs)
}

/// Reports `///` before a setting, which nothing would show.
pub(super) fn undocumented(attrs: &Attrs, diagnostics: &mut Diagnostics) {
    if let Some(at) = attrs.documented_at {
        let message = "`///` documents channels, endpoints and routes: write `//` before a setting";
        diagnostics.error_at(at, message);
    }
}

/// Reports attributes of what cannot have any.
pub(super) fn without_attributes(attrs: &Attrs, instead: &str, diagnostics: &mut Diagnostics) {
    let cfg = attrs.cfg.first().map(|cfg| cfg.pound_token.span);
    if let Some(at) = attrs.documented_at.or(cfg) {
        diagnostics.error_at(at, instead);
    }
}

/// Reads `crate = path`.
pub(super) fn krate(
    input: ParseStream<'_>,
    attrs: &Attrs,
    krate: &mut Option<Path>,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    without_attributes(attrs, "`crate = ..` cannot have attributes", diagnostics);
    let (keyword, path) = crate::krate::parse(input)?;
    if krate.replace(path).is_some() {
        diagnostics.error(keyword, "`crate` is set twice");
    }
    Ok(())
}

/// Reads a comma, unless the input ends. Anything else is reported and not read.
pub(super) fn comma(input: ParseStream<'_>, diagnostics: &mut Diagnostics) {
    if let Ok(Some(semicolon)) = input.parse::<Option<Token![;]>>() {
        diagnostics.error(semicolon, "expected `,` instead of `;`");
        return;
    }
    if !input.is_empty() && input.parse::<Token![,]>().is_err() {
        diagnostics.error_at(input.span(), "expected `,` before this");
        // What follows may belong to the broken part. Go on only where something new seems to start.
        let starts = input.peek(syn::LitStr)
            || (input.peek(syn::Ident) && (input.peek2(Paren) || is_setting(input)));
        if !starts {
            skip_past_comma(input);
        }
    }
}

/// Reads entries with commas between them, up to the end. After a mistake it goes on with the next entry.
pub(super) fn entries(
    input: ParseStream<'_>,
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(ParseStream<'_>, &mut Diagnostics) -> syn::Result<()>,
) {
    while !input.is_empty() {
        match read(input, diagnostics) {
            Ok(()) => comma(input, diagnostics),
            Err(error) => {
                diagnostics.push(error);
                skip_past_comma(input);
            }
        }
    }
}

/// The same for all that a macro is given.
pub(super) fn all_entries(
    tokens: TokenStream,
    diagnostics: &mut Diagnostics,
    read: impl FnMut(ParseStream<'_>, &mut Diagnostics) -> syn::Result<()>,
) {
    let parse = |input: ParseStream<'_>| {
        entries(input, diagnostics, read);
        Ok(())
    };
    let parsed = parse.parse2(tokens);
    if let Err(error) = parsed {
        diagnostics.push(error);
    }
}

pub(super) fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() && input.parse::<Token![,]>().is_err() {
        if input.parse::<TokenTree>().is_err() {
            break;
        }
    }
}

/// Reports tokens after the last argument.
pub(super) fn finish(input: ParseStream<'_>, call: &Ident, diagnostics: &mut Diagnostics) {
    if !input.is_empty() {
        diagnostics.error(
            drain(input),
            format_args!("`{call}(..)` has no such argument"),
        );
    }
}

pub(super) fn drain(input: ParseStream<'_>) -> TokenStream {
    let mut rest = TokenStream::new();
    while let Ok(tree) = input.parse::<TokenTree>() {
        rest.extend([tree]);
    }
    rest
}
