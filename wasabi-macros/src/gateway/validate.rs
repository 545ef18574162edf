//! Rules that look at more than one token at a time.

use std::collections::HashMap;

use quote::ToTokens;
use syn::{Expr, Lit, LitStr, Pat};
use wasabi_rules::{did_you_mean, host, origin, subprotocol};

use super::{
    ast::{
        self, Attrs, Channel, Gateway, Match, Node, Section, SectionKind, Setting, Target, Value,
    },
    settings::{self, Kind, Level},
    urls, warnings,
};
use crate::{
    diagnostics::Diagnostics,
    fragment::{Fragment, is_zero},
    literals,
    paths::{Paths, Who},
};

pub(crate) fn gateway(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    check_settings(&gateway.settings, Level::Gateway, diagnostics);
    check_paths(&gateway.sections, diagnostics);
    for section in &gateway.sections {
        if let SectionKind::Channel(Channel { settings, target }) = &section.kind {
            check_settings(settings, Level::Channel, diagnostics);
            check_target(target, diagnostics);
        }
    }
    urls::check(gateway, diagnostics);
    warnings::check(gateway, diagnostics);
}

fn check_paths(sections: &[Section], diagnostics: &mut Diagnostics) {
    let mut paths = Paths::default();
    for section in sections {
        let who = match &section.kind {
            SectionKind::Channel(_) => Who::Channel,
            SectionKind::Endpoint { method, .. } => Who::Endpoint(method.to_string()),
            SectionKind::Mount { .. } => Who::Mount,
        };
        if let Some(path) = section.path.string() {
            match section.attrs.cfg.is_empty() {
                true => paths.add(path, who, diagnostics),
                // Another section may take its place: only the path itself is checked.
                false => Paths::default().add(path, who, diagnostics),
            }
        }
    }
}

fn check_settings(all: &[Setting], level: Level, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<String, &Setting> = HashMap::new();
    for setting in all {
        let name = setting.name.to_string();
        let Some(known) = settings::find(&name) else {
            unknown_setting(setting, level, diagnostics);
            continue;
        };
        if !known.stands_in(level) {
            let message = match level {
                Level::Channel => format!(
                    "`{name}` is a setting of the gateway; write it before the sections of `gateway!`"
                ),
                Level::Gateway => {
                    format!("`{name}` is a setting of a channel; write it in `channel(..)`")
                }
            };
            diagnostics.error(&setting.name, message);
            continue;
        }
        if setting.attrs.cfg.is_empty()
            && let Some(first) = seen.insert(name.clone(), setting)
        {
            diagnostics.error(&setting.name, format_args!("`{name}` is set twice"));
            diagnostics.error(&first.name, format_args!("`{name}` is set here first"));
        }
        if let Value::One(value) = &setting.value {
            check_value(&name, known.kind, value, diagnostics);
        }
    }
}

fn unknown_setting(setting: &Setting, level: Level, diagnostics: &mut Diagnostics) {
    let name = setting.name.to_string();
    let hint = match did_you_mean(&name, settings::names(level)) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    let message = format!("there is no setting `{name}`{hint}\n{}", level.describe());
    diagnostics.error(&setting.name, message);
}

fn check_value(name: &str, kind: Kind, value: &Fragment, diagnostics: &mut Diagnostics) {
    if kind == Kind::Duration
        && !is_zero(value.tokens())
        && let Some(seconds) = value.number()
    {
        diagnostics.error(
            value,
            format_args!("`{name}` is a duration: write `{seconds}s`, or another unit"),
        );
    }
    if matches!(kind, Kind::NotZero | Kind::Duration) && is_zero(value.tokens()) {
        diagnostics.error(value, format_args!("zero makes no sense for `{name}`; write a value above zero, or leave the setting out"));
    }
    if matches!(name, "hosts" | "origins" | "subprotocols")
        && let Some(text) = value.string()
    {
        diagnostics.error(
            value,
            format_args!("`{name}` is a list in brackets: write `[{}]`", text.token()),
        );
    }
    match name {
        "hosts" => literals::check_list(value.tokens(), host, diagnostics),
        "origins" => literals::check_list(value.tokens(), origin, diagnostics),
        "subprotocols" => {
            let rule = |name: &str| subprotocol(name).map(drop);
            literals::check_list(value.tokens(), rule, diagnostics);
        }
        _ => {}
    }
}

fn check_target(target: &Target, diagnostics: &mut Diagnostics) {
    match target {
        Target::Missing | Target::Expr(_) => {}
        Target::With { target, .. } => check_target(target, diagnostics),
        Target::Balance { keyword, nodes } => {
            if nodes.len() < 2 {
                let message = "`balance` shares requests among two nodes or more; for one, write its target itself";
                diagnostics.error_at(*keyword, message);
            }
            for Node { weight, target, .. } in nodes {
                if is_no_weight(weight) {
                    diagnostics.error(weight, "a weight is a whole number above zero");
                }
                check_target(target, diagnostics);
            }
        }
        Target::Match(routes) => {
            check_routes(routes, diagnostics);
            for arm in &routes.arms {
                check_target(&arm.target, diagnostics);
            }
        }
    }
}

/// Zero, below, or another literal than a whole number.
pub(crate) fn is_no_weight(weight: &Fragment) -> bool {
    is_zero(weight.tokens())
        || match syn::parse2(weight.tokens().clone()) {
            Ok(Expr::Unary(unary)) => matches!(unary.op, syn::UnOp::Neg(_)),
            Ok(Expr::Lit(literal)) => !matches!(literal.lit, Lit::Int(_)),
            _ => false,
        }
}

fn check_routes(routes: &Match, diagnostics: &mut Diagnostics) {
    if routes.key().is_none_or(|key| key != "key") {
        let message = "requests are routed by their `key`: write `match key { .. }`, or match on something made of it, such as `key.parse::<Action>()`";
        diagnostics.error(&routes.scrutinee, message);
    }
    let mut keys: HashMap<String, &LitStr> = HashMap::new();
    let mut catch_all: Option<&Pat> = None;
    for arm in &routes.arms {
        if let (Some(pattern), true) = (catch_all, arm.attrs.is_unconditional()) {
            let text = crate::fragment::text(&pattern.to_token_stream());
            let fix = match ast::bare_name(pattern) {
                Some(name) => format!("a key is in quotes: `\"{name}\"`"),
                None => "write the catch-all last".to_owned(),
            };
            let message =
                format!("this arm is never reached: `{text}` before it takes every key; {fix}");
            diagnostics.error(&arm.pattern, message);
            break;
        }
        let bare = arm.bare_alternatives();
        for name in &bare {
            let message = format!(
                "`{name}` is a name, which takes every key; a key is in quotes: `\"{name}\"`"
            );
            diagnostics.error(name, message);
        }
        let mut own = Vec::new();
        literal_keys(&arm.pattern, &mut own);
        for key in own.into_iter().filter(|_| arm.attrs.is_unconditional()) {
            let text = key.value();
            if let Some(first) = keys.get(&text) {
                diagnostics.error(key, format_args!("the key `{text}` is routed twice"));
                diagnostics.error(first, format_args!("`{text}` is routed here first"));
            } else if arm.guard.is_none() {
                keys.insert(text, key);
            }
        }
        if arm.is_catch_all() && arm.attrs.is_unconditional() && bare.is_empty() {
            catch_all = Some(&arm.pattern);
        }
    }
    if routes.is_whole && routes.is_on_text() && !routes.has_catch_all() {
        let message = "keys that no arm names have no route; add `_ => ..` as the last arm (`_ => NoRoute` answers them with an error)";
        diagnostics.error_at(routes.keyword, message);
    }
}

impl Attrs {
    fn is_unconditional(&self) -> bool {
        self.cfg.is_empty()
    }
}

fn literal_keys<'a>(pattern: &'a Pat, keys: &mut Vec<&'a LitStr>) {
    match pattern {
        Pat::Lit(literal) => {
            if let Lit::Str(key) = &literal.lit {
                keys.push(key);
            }
        }
        Pat::Or(or) => or.cases.iter().for_each(|case| literal_keys(case, keys)),
        Pat::Paren(inner) => literal_keys(&inner.pat, keys),
        Pat::Ident(binding) => {
            if let Some((_, pattern)) = &binding.subpat {
                literal_keys(pattern, keys);
            }
        }
        _ => {}
    }
}
