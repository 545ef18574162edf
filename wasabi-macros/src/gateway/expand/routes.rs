//! `match key { .. }`: a struct with a field for each arm, and a closure from the key to the number of the arm.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::context::{Context, local, number, number_patterns, numbered};
use crate::{
    fragment,
    gateway::ast::{Arm, Match},
};

/// The routes of a channel. The arm is found before the first middleware runs, and the request carries its number.
pub(super) fn outer_routes(routes: &Match, targets: &[TokenStream], cx: &Context) -> TokenStream {
    let p = &cx.p;
    let names = routes.arms.iter().map(name);
    let arms = numbered('r', routes.arms.len()).1.into_iter();
    let arms = arms.zip(number_patterns(routes.arms.len()));
    let arms = arms
        .map(|(field, number)| quote!(#number => #p::Backend::<S>::owes_reply(&self.#field, req),));
    let answers = Answers {
        index: quote!(#p::route_index(&req)),
        owes_reply: quote!(match #p::route_index(req) { #(#arms)* }),
        route: quote! {
            fn route(&self, key: &#p::str) -> #p::Option<#p::Route> {
                const NAMES: &[&#p::str] = &[#(#names),*];
                let index = (self.route)(key);
                #p::Some(#p::Route { index, name: NAMES[index] })
            }
        },
    };
    dispatch(routes, targets, &answers, cx)
}

/// Routes inside another target, which find their arm when they are called.
pub(super) fn inner_routes(routes: &Match, targets: &[TokenStream], cx: &Context) -> TokenStream {
    let p = &cx.p;
    let fields = numbered('r', routes.arms.len()).1;
    let answers = Answers {
        index: quote!((self.route)(req.key())),
        // The user's guards run twice only if the arms differ.
        owes_reply: quote! {
            let owed = [#(#p::Backend::<S>::owes_reply(&self.#fields, req)),*];
            match owed.iter().all(|owes| *owes == owed[0]) {
                true => owed[0],
                false => owed[(self.route)(req.key())],
            }
        },
        route: quote!(),
    };
    dispatch(routes, targets, &answers, cx)
}

/// The bodies of the methods of a backend of routes.
struct Answers {
    /// The number of the arm of `req`.
    index: TokenStream,
    owes_reply: TokenStream,
    /// The method `route`, if it has one of its own.
    route: TokenStream,
}

/// Puts the user's `match` into a closure, where guards can capture run-time values.
fn dispatch(
    routes: &Match,
    targets: &[TokenStream],
    answers: &Answers,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let count = routes.arms.len();
    if count == 0 {
        return quote!(#p::Absent);
    }
    let (types, fields) = numbered('r', count);
    let numbers = number_patterns(count);
    let Answers {
        index,
        owes_reply,
        route,
    } = answers;
    let key_fn = key_fn(routes, cx);
    quote! {{
        struct __WasabiRoutes<K, #(#types),*> { route: K, #(#fields: #types),* }
        impl<S, K, #(#types),*> #p::Backend<S> for __WasabiRoutes<K, #(#types),*>
        where
            S: #p::Sync,
            K: #p::Fn(&#p::str) -> #p::usize + #p::Send + #p::Sync,
            #(#types: #p::Backend<S>,)*
        {
            // An `async fn` would hold the request twice in its future.
            fn call(
                &self,
                req: #p::Request,
                state: &S,
            ) -> impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send {
                async move {
                    match #index {
                        #(#numbers => #p::Backend::call(&self.#fields, req, state).await,)*
                    }
                }
            }
            fn owes_reply(&self, req: &#p::Request) -> #p::bool {
                #owes_reply
            }
            #route
            fn lifecycle(&self, visit: &mut dyn #p::FnMut(&dyn #p::Lifecycle)) {
                #(#p::Backend::<S>::lifecycle(&self.#fields, visit);)*
            }
        }
        __WasabiRoutes { route: #key_fn, #(#fields: #targets),* }
    }}
}

fn key_fn(routes: &Match, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let key = routes.key().unwrap_or_else(|| local("key"));
    let scrutinee = cx.emit(&routes.scrutinee);
    let arms = routes.arms.iter().enumerate().map(|(i, arm)| {
        let (cfg, pattern, number) = (&arm.attrs.cfg, &arm.pattern, number(i));
        if !arm.bare_alternatives().is_empty() {
            // Reported already.
            return quote!(#(#cfg)* _ => #number,);
        }
        let guard = arm.guard.as_ref().map(|guard| {
            let guard = cx.emit(guard);
            quote!(if #guard)
        });
        quote!(#(#cfg)* #pattern #guard => #number,)
    });
    // The mistake is reported already; the compiler must not report it again.
    let missing = (routes.is_on_text() && !routes.has_catch_all()).then(|| {
        let last = number(routes.arms.len() - 1);
        quote!(_ => #last,)
    });
    let routed = quote_spanned!(routes.keyword=> match #scrutinee { #(#arms)* #missing });
    if !cx.is_mistaken {
        return quote!(#p::key_fn(move |#key| #routed));
    }
    let index = local("index");
    quote!(#p::key_fn(move |#key| {
        #[allow(unreachable_patterns)]
        let #index = #routed;
        #index
    }))
}

/// An arm's pattern for people: the key itself, `quote | ticks`, `Ok(Action::Buy)`.
pub(super) fn name(arm: &Arm) -> String {
    let pattern = arm.pattern.to_token_stream();
    let name = fragment::text(&fragment::without_secrets(pattern)).replace("\" | \"", " | ");
    let name = match name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(bare) if !bare.contains('"') => bare.to_owned(),
        _ => name,
    };
    match &arm.guard {
        Some(guard) => {
            let guard = fragment::without_secrets(guard.tokens().clone());
            format!("{name} if {}", fragment::text(&guard))
        }
        None => name,
    }
}
