//! Settings: `name = value`.

use proc_macro2::{Ident, Literal};
use quote::{ToTokens, quote};
use syn::{ext::IdentExt, parse::ParseStream};
use wasabi_rules::{Amount, Kind, Level, Number, SETTINGS, Setting as Known, hint, list, number};

use super::syntax::{equals, values};
use crate::{
    diagnostics::Diagnostics,
    fragment::Fragment,
    gateway::{
        ast::Attrs,
        settings::{Named, Role, Setting, Settings, Value},
    },
    literals::{check_setting, is_zero},
};

/// What the settings belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Gateway,
    Channel,
}

impl Owner {
    fn may_have(self, known: Known) -> bool {
        match known.level {
            Level::Gateway => self == Self::Gateway,
            Level::Channel => self == Self::Channel,
            Level::Both => true,
        }
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        SETTINGS
            .iter()
            .filter(move |known| self.may_have(**known))
            .map(|known| known.name)
    }
}

/// Reads a setting and adds it to the owner's settings. One that the owner cannot have is reported and left out.
pub(super) fn setting(
    input: ParseStream<'_>,
    attrs: Attrs,
    owner: Owner,
    settings: &mut Settings,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Ident> {
    let name = input.call(Ident::parse_any)?;
    let equals = equals(&name, input, diagnostics)?;
    let known = known(&name, owner, diagnostics);
    let value = match known.map(|known| known.kind) {
        Some(Kind::Http) => Some(Value::Http(list_of(&name, input, diagnostics))),
        Some(Kind::Middleware) => Some(Value::Middleware(list_of(&name, input, diagnostics))),
        _ => {
            let value = Fragment::parse(input);
            if value.is_empty() {
                let message = format!("expected a value for `{name}` after `=`");
                diagnostics.error_at(equals, message);
            }
            let known = known.filter(|_| !value.is_empty());
            known.map(|known| one(known, value, diagnostics))
        }
    };
    if let (Some(known), Some(value)) = (known, value) {
        if attrs.cfg.is_empty()
            && let Some(first) = settings.unconditional(known)
        {
            diagnostics.error(&name, format_args!("`{name}` is set twice"));
            diagnostics.error(&first.name, format_args!("`{name}` is set here first"));
        }
        settings.push(Setting {
            known,
            name: name.clone(),
            cfg: attrs.cfg,
            value,
        });
    }
    Ok(name)
}

/// The setting of this name, if the owner can have it.
fn known(name: &Ident, owner: Owner, diagnostics: &mut Diagnostics) -> Option<Known> {
    let text = name.to_string();
    let Some(known) = Known::find(&text) else {
        let who = match owner {
            Owner::Gateway => "a gateway",
            Owner::Channel => "a channel",
        };
        let message = format!(
            "there is no setting `{text}`{}\nsettings of {who}: {}",
            hint(&text, owner.names()),
            list(owner.names())
        );
        diagnostics.error(name, message);
        return None;
    };
    if owner.may_have(known) {
        return Some(known);
    }
    let message = match owner {
        Owner::Channel => format!(
            "`{name}` is a setting of the gateway; write it before the sections of `gateway!`"
        ),
        Owner::Gateway => format!("`{name}` is a setting of a channel; write it in `channel(..)`"),
    };
    diagnostics.error(name, message);
    None
}

fn list_of(name: &Ident, input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Vec<Fragment> {
    values(input, &format!("`{name}`"), diagnostics)
}

/// Reads a value that is not a list of middleware. Where the mistake is clear, the correct value replaces it, so that the
/// compiler does not report it again.
fn one(known: Known, value: Fragment, diagnostics: &mut Diagnostics) -> Value {
    check_setting(known, value.tokens(), diagnostics);
    match known.kind {
        Kind::State => Value::State(value),
        Kind::Cluster => Value::One(value, Role::Own),
        Kind::Hosts => Value::One(bracketed(known, value, diagnostics), Role::Hosts),
        Kind::Origins => Value::One(bracketed(known, value, diagnostics), Role::Origins),
        Kind::Subprotocols => Value::One(bracketed(known, value, diagnostics), Role::Other),
        Kind::Parser | Kind::Hook => Value::One(value, Role::Checked),
        Kind::Protocol => Value::One(value, Role::Protocol),
        Kind::Errors => {
            let role = errors(&value);
            Value::One(value, role)
        }
        Kind::Time => Value::One(duration(known, value, diagnostics), Role::Other),
        Kind::Count => Value::One(count(known, value, diagnostics), Role::Other),
        Kind::Http | Kind::Middleware | Kind::Routes | Kind::Other => {
            Value::One(value, Role::Other)
        }
    }
}

/// A list of strings. An empty one gets an explicit type, which the compiler cannot infer.
fn bracketed(known: Known, value: Fragment, diagnostics: &mut Diagnostics) -> Fragment {
    if value.elements().is_some_and(|elements| elements.is_empty()) {
        return value.instead(quote!([""; 0]));
    }
    let Some(text) = value.string() else {
        return value;
    };
    let (name, token) = (known.name, text.token());
    let message = format!("`{name}` must be a list in brackets: write `[{token}]`");
    diagnostics.error(&value, message);
    let list = value.instead(quote!([#text]));
    check_setting(known, list.tokens(), diagnostics);
    list
}

/// What a number with a unit is.
fn amount(value: &Fragment) -> Option<Amount> {
    let literal: Literal = syn::parse2(value.tokens().clone()).ok()?;
    match number(&literal.to_string()) {
        Number::Amount(amount) => Some(amount),
        _ => None,
    }
}

fn count(known: Known, value: Fragment, diagnostics: &mut Diagnostics) -> Fragment {
    let Some(Amount::Time(_)) = amount(&value) else {
        return value;
    };
    let (name, text) = (known.name, value.text());
    let example = match name.ends_with("size") || name.ends_with("bytes") {
        true => "a size: write `64KiB`",
        false => "a number: write `10`",
    };
    let message = format!("`{text}` is a duration, and `{name}` is {example}");
    diagnostics.error(&value, message);
    value.instead(quote!(1))
}

fn duration(known: Known, value: Fragment, diagnostics: &mut Diagnostics) -> Fragment {
    if let Some(Amount::Bytes(_)) = amount(&value) {
        let (name, text) = (known.name, value.text());
        let message = format!("`{text}` is a size, and `{name}` is a duration: write `20s`");
        diagnostics.error(&value, message);
        return value.instead(quote!(1s));
    }
    let Some(seconds) = value.number() else {
        return value;
    };
    if !is_zero(value.tokens()) {
        let name = known.name;
        let message = format!("`{name}` is a duration: write `{seconds}s`, or another unit");
        diagnostics.error(&value, message);
    }
    match "1s".parse::<Literal>() {
        Ok(mut second) => {
            second.set_span(value.span());
            value.instead(second.into_token_stream())
        }
        Err(_) => value,
    }
}

fn errors(value: &Fragment) -> Role {
    let word = value.ident().map(|word| word.to_string());
    match word.as_deref() {
        Some("Silent") => Role::Named(Named::Silent),
        Some("Text") => Role::Named(Named::Text),
        Some("Json") => Role::Named(Named::Json),
        _ => Role::Errors,
    }
}
