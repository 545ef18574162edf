//! With the cargo feature `schema`: how routers describe their arms, each with the backend that it leads to.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::Pat;

use super::context::{Context, number, numbered};
use crate::{
    fragment::string,
    gateway::ast::{self, Arm, KeyPattern, Listed, Match, Node, Target, is_capital},
};

/// The package that declares the gateway.
pub(super) fn package(cx: &Context) -> Option<TokenStream> {
    let Context { p, gateway, .. } = cx;
    let package = quote! {
        #gateway.package(#p::option_env!("CARGO_PKG_NAME"), #p::option_env!("CARGO_PKG_VERSION"));
    };
    cx.has_schema.then_some(package)
}

pub(super) fn routes(
    routes: &Match,
    names: &[String],
    bits: &TokenStream,
    cx: &Context,
) -> Option<TokenStream> {
    let p = cx.has_schema.then_some(&cx.p)?;
    let (_, fields) = numbered('r', routes.arms.len());
    let arms = routes.arms.iter().zip(names).zip(fields).enumerate();
    let arms = arms.map(|(i, ((arm, name), field))| {
        let (cfg, docs, number) = (&arm.attrs.cfg, &arm.attrs.docs, number(i + 1));
        let (how, arm) = match is_called_by_its_key(arm, name, routes) {
            true => {
                let label = label(&arm.target);
                (quote!(describe_key), quote!(#name, #docs, #label))
            }
            false => {
                let arm = self::arm(arm, name, routes, cx);
                (quote!(describe_arm), quote!(&#arm))
            }
        };
        quote!(#(#cfg)* #p::#how::<S, _>(__to, #number, #bits, #arm, &self.#field);)
    });
    Some(describe(quote!(#(#arms)*), cx))
}

/// Whether an arm takes one key, which is its name too, on no condition.
fn is_called_by_its_key(arm: &Arm, name: &str, routes: &Match) -> bool {
    let is_plain = arm.guard.is_none() && routes.is_on_key();
    let keys = ast::keys(&arm.pattern);
    is_plain && matches!(&*keys, [KeyPattern::Literal(key)] if key.value() == name)
}

/// Only what differs from the others: there may be hundreds of them.
fn arm(arm: &Arm, name: &str, routes: &Match, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let (docs, label) = (&arm.attrs.docs, label(&arm.target));
    let mut members = quote!(name: #name, target: #label,);
    if !docs.is_empty() {
        members.extend(quote!(docs: #docs,));
    }
    for (member, keys) in [("keys", keys(arm, routes)), ("hints", hints(arm, routes))] {
        if !keys.is_empty() {
            let member = format_ident!("{member}");
            members.extend(quote!(#member: &[#(#keys),*],));
        }
    }
    match prefix(arm, routes) {
        Some(prefix) => members.extend(quote!(prefix: #p::Some(#prefix),)),
        None if is_open(arm, routes) => members.extend(quote!(is_open: true,)),
        None => {}
    }
    quote!(#p::Arm { #members ..#p::Arm::NONE })
}

pub(super) fn balance(nodes: &[Node], cx: &Context) -> Option<TokenStream> {
    let p = cx.has_schema.then_some(&cx.p)?;
    let (_, fields) = numbered('n', nodes.len());
    let nodes = nodes.iter().zip(fields).map(|(node, field)| {
        let label = label(&node.target);
        quote!(#p::describe_node::<S, _>(__to, #label, &self.#field);)
    });
    Some(describe(quote!(__to.group(&|__to| { #(#nodes)* });), cx))
}

/// Sets, and what answers the keys that none of them has.
pub(super) fn sets(
    sets: &[Listed],
    rest: &str,
    bits: &TokenStream,
    cx: &Context,
) -> Option<TokenStream> {
    let p = cx.has_schema.then_some(&cx.p)?;
    let (_, fields) = numbered('r', sets.len());
    let last = number(sets.len() + 1);
    let sets = sets.iter().zip(fields).enumerate();
    let sets = sets.map(|(i, (set, field))| {
        let (cfg, number) = (&set.cfg, number(i + 1));
        quote! {
            #(#cfg)*
            #p::describe_set::<S, _>(__to, #number, #bits, &self.#field);
        }
    });
    let body = quote! {
        #(#sets)*
        #p::describe_rest::<S, _>(__to, #last, #bits, #rest, &self.rest);
    };
    Some(describe(body, cx))
}

fn describe(body: TokenStream, cx: &Context) -> TokenStream {
    let p = &cx.p;
    quote! {
        fn describe(&self, __to: &mut #p::Describer) {
            #body
        }
    }
}

/// A target as it is written; empty if it consists of several.
pub(super) fn label(target: &Target) -> String {
    match target {
        Target::Expr(backend) => backend.label(),
        Target::With { target, .. } => label(target),
        Target::Missing | Target::Balance { .. } | Target::Match(_) => String::new(),
    }
}

/// The keys of an arm that takes them without a condition.
fn keys(arm: &Arm, routes: &Match) -> Vec<TokenStream> {
    match &arm.guard {
        None if routes.is_on_key() => named(arm),
        _ => Vec::new(),
    }
}

/// What may be a key, if a condition or the user's own type decides: a key in the pattern, the name of a variant.
fn hints(arm: &Arm, routes: &Match) -> Vec<TokenStream> {
    if routes.is_on_key() {
        return arm.guard.as_ref().map_or_else(Vec::new, |_| named(arm));
    }
    let mut hints = Vec::new();
    if !arm.is_catch_all() {
        words(arm.pattern.to_token_stream(), &mut hints);
    }
    hints.iter().map(ToTokens::to_token_stream).collect()
}

/// Whether the arm takes some of the remaining keys, and only its guard or the user's own type knows which.
fn is_open(arm: &Arm, routes: &Match) -> bool {
    !arm.is_catch_all() && (!routes.is_on_key() || named(arm).is_empty())
}

/// The keys in the pattern.
fn named(arm: &Arm) -> Vec<TokenStream> {
    let keys = ast::keys(&arm.pattern).into_iter();
    keys.map(|key| match key {
        KeyPattern::Literal(key) => key.to_token_stream(),
        KeyPattern::Constant(key) => key.to_token_stream(),
    })
    .collect()
}

fn words(tokens: TokenStream, found: &mut Vec<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => words(group.stream(), found),
            TokenTree::Ident(name) if is_capital(&name) => {
                let name = name.to_string();
                // No key is called after these.
                if !matches!(&*name, "Ok" | "Err" | "Some" | "None") {
                    found.push(name);
                }
            }
            TokenTree::Literal(literal) => {
                let literal = string(&TokenTree::from(literal).into());
                found.extend(literal.map(|literal| literal.value()));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// `x` of an arm `key if key.starts_with("x")`, and of nothing else.
fn prefix(arm: &Arm, routes: &Match) -> Option<syn::LitStr> {
    let Pat::Ident(name) = &arm.pattern else {
        return None;
    };
    let is_plain = routes.is_on_key() && name.subpat.is_none();
    let guard = is_plain.then_some(arm.guard.as_ref())??;
    let Ok(syn::Expr::MethodCall(call)) = syn::parse2(guard.tokens().clone()) else {
        return None;
    };
    let on_key =
        matches!(&*call.receiver, syn::Expr::Path(path) if path.path.is_ident(&name.ident));
    let argument = call.args.first().filter(|_| call.args.len() == 1)?;
    (on_key && call.method == "starts_with")
        .then(|| string(&argument.to_token_stream()))
        .flatten()
}
