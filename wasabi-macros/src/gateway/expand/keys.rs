//! The keys of a `match`, as constants that the compiler compares with those of other sets.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, LitStr, Pat, spanned::Spanned};

use super::context::Context;
use crate::gateway::ast::{self, KeyPattern, Match};

pub(super) fn keys(routes: &Match, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let mut found = Found::default();
    found.add(routes, &[]);
    found.literals.sort_by_key(|(key, _)| key.value());
    let literals = found
        .literals
        .iter()
        .map(|(literal, cfg)| key(literal, literal.span(), cfg, cx));
    let constants = found
        .constants
        .iter()
        .map(|(constant, cfg)| key(constant, constant.span(), cfg, cx));
    quote!(&#p::Keys {
        file: #p::file!(),
        literals: &[#(#literals),*],
        constants: &[#(#constants),*],
        inner: &[],
    })
}

/// `line!()` tells the line of the user's token whose span it has.
fn key(text: impl ToTokens, at: Span, cfg: &[&Attribute], cx: &Context) -> TokenStream {
    let (p, here) = (&cx.p, cx.p_at(at));
    let line = quote_spanned!(at=> #here::line!());
    quote!(#(#cfg)* #p::Key { text: #text, line: #line })
}

/// Keys that arms take without a condition.
#[derive(Default)]
struct Found<'a> {
    literals: Vec<(&'a LitStr, Vec<&'a Attribute>)>,
    constants: Vec<(&'a Pat, Vec<&'a Attribute>)>,
}

impl<'a> Found<'a> {
    fn add(&mut self, routes: &'a Match, around: &[&'a Attribute]) {
        if !routes.is_on_key() {
            return;
        }
        for arm in routes.arms.iter().filter(|arm| arm.guard.is_none()) {
            let cfg: Vec<_> = around.iter().copied().chain(&arm.attrs.cfg).collect();
            if let (true, Some(rest)) = (arm.is_catch_all(), arm.target.routes()) {
                self.add(rest, &cfg);
                continue;
            }
            for key in ast::keys(&arm.pattern) {
                match key {
                    KeyPattern::Literal(key) => self.literals.push((key, cfg.clone())),
                    KeyPattern::Constant(key) => self.constants.push((key, cfg.clone())),
                }
            }
        }
    }
}
