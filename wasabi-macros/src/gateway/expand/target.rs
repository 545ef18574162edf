//! Targets, from the outermost to the innermost.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    balance::balance,
    context::{Context, local},
    routes::{inner_routes, outer_routes},
};
use crate::gateway::ast::{Arm, Match, Target};

/// The target of a channel. Its routes are the ones that a request reports.
pub(super) fn outermost(target: &Target, cx: &Context) -> TokenStream {
    match target {
        Target::Match(routes) => outer_routes(routes, &arms(routes, cx), cx),
        other => inner(other, cx),
    }
}

fn inner(target: &Target, cx: &Context) -> TokenStream {
    let p = &cx.p;
    match target {
        Target::Missing => quote!(#p::Absent),
        Target::Expr(backend) => cx.checked("backend", backend),
        Target::With { middleware, target } => {
            let middleware = middleware.iter().map(|one| cx.checked("middleware", one));
            stack(middleware.collect(), inner(target, cx), cx)
        }
        Target::Balance { nodes, .. } => {
            let targets: Vec<_> = nodes.iter().map(|node| inner(&node.target, cx)).collect();
            balance(nodes, &targets, cx)
        }
        Target::Match(routes) => inner_routes(routes, &arms(routes, cx), cx),
    }
}

/// The first middleware is outermost.
pub(super) fn stack(middleware: Vec<TokenStream>, inner: TokenStream, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let around = |inner, middleware| quote!(#p::Stack::new(#middleware, #inner));
    middleware.into_iter().rfold(inner, around)
}

fn arms(routes: &Match, cx: &Context) -> Vec<TokenStream> {
    routes.arms.iter().map(|each| arm(each, cx)).collect()
}

fn arm(arm: &Arm, cx: &Context) -> TokenStream {
    let (p, cfg, target) = (&cx.p, &arm.attrs.cfg, inner(&arm.target, cx));
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
