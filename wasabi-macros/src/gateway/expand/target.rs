//! Targets, from the outermost to the innermost.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

use super::{
    balance::balance,
    context::{Context, local},
    routes::{Place, names, routes},
};
use crate::gateway::ast::{Arm, Match, Target};

pub(super) fn target(target: &Target, place: Place<'_>, cx: &Context) -> TokenStream {
    let p = &cx.p;
    match target {
        Target::Missing => quote!(#p::Absent),
        Target::Expr(backend) => cx.checked("backend", backend),
        Target::With { middleware, target } => {
            let middleware = middleware.iter().map(|one| cx.checked("middleware", one));
            stack(middleware.collect(), self::target(target, place, cx), cx)
        }
        Target::Balance { nodes, .. } => {
            let place = match place {
                Place::Arm(name) => Place::Arm(name),
                _ => Place::Arm("_"),
            };
            let targets = nodes
                .iter()
                .map(|node| self::target(&node.target, place, cx));
            balance(nodes, &targets.collect::<Vec<_>>(), cx)
        }
        Target::Match(routes) => matched(routes, place, cx),
    }
}

pub(super) fn matched(matched: &Match, place: Place<'_>, cx: &Context) -> TokenStream {
    let names = names(matched, place);
    let arms = matched.arms.iter().zip(&names);
    let targets: Vec<_> = arms.map(|(arm, name)| self::arm(arm, name, cx)).collect();
    routes(matched, &names, &targets, place, cx)
}

/// The first middleware is outermost.
pub(super) fn stack(middleware: Vec<TokenStream>, inner: TokenStream, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let around = |inner, middleware| quote!(#p::Stack::new(#middleware, #inner));
    middleware.into_iter().rfold(inner, around)
}

fn arm(arm: &Arm, name: &str, cx: &Context) -> TokenStream {
    let target = target(&arm.target, Place::Arm(name), cx);
    conditional(&arm.attrs.cfg, target, cx)
}

/// A value, or what stands for it where it is configured out.
pub(super) fn conditional(cfg: &[Attribute], target: TokenStream, cx: &Context) -> TokenStream {
    let p = &cx.p;
    if cfg.is_empty() {
        return target;
    }
    let conditions = cfg
        .iter()
        .filter_map(|attr| attr.meta.require_list().ok())
        .map(|list| &list.tokens);
    let (condition, name) = (quote!(all(#(#conditions),*)), local("target"));
    // The field exists either way, so that the struct needs no `cfg`.
    quote!({
        #[cfg(#condition)]
        let #name = #target;
        #[cfg(not(#condition))]
        let #name = #p::Absent;
        #name
    })
}
