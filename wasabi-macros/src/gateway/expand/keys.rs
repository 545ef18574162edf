//! The keys of a `match`, as constants that the compiler compares with those of other sets.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, Lit, LitStr, Pat, spanned::Spanned};

use super::context::Context;
use crate::gateway::ast::{Match, is_capital};

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
            } else {
                self.add_pattern(&arm.pattern, &cfg);
            }
        }
    }

    fn add_pattern(&mut self, pattern: &'a Pat, cfg: &[&'a Attribute]) {
        match pattern {
            Pat::Lit(literal) => {
                if let Lit::Str(key) = &literal.lit {
                    self.literals.push((key, cfg.to_vec()));
                }
            }
            Pat::Or(or) => or.cases.iter().for_each(|case| self.add_pattern(case, cfg)),
            Pat::Paren(inner) => self.add_pattern(&inner.pat, cfg),
            Pat::Ident(binding) => match &binding.subpat {
                Some((_, pattern)) => self.add_pattern(pattern, cfg),
                None if is_capital(&binding.ident) => self.constants.push((pattern, cfg.to_vec())),
                None => {}
            },
            // An item cannot name the `Self` around it.
            Pat::Path(path) if path.qself.is_none() && !path.path.segments[0].ident.eq("Self") => {
                self.constants.push((pattern, cfg.to_vec()));
            }
            _ => {}
        }
    }
}
