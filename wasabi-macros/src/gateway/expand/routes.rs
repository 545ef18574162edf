//! `match key { .. }`: a struct with a field for each arm, and a closure from the key to the number of the arm.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::{Expansion, local, numbered};
use crate::{
    fragment,
    gateway::ast::{Arm, Match},
};

impl Expansion<'_> {
    /// The user's `match` goes into a closure, where its guards can capture run-time values.
    pub(super) fn routes(&self, routes: &Match, is_outermost: bool) -> TokenStream {
        let p = &self.p;
        let Some(last) = routes.arms.len().checked_sub(1) else {
            return quote!(#p::Absent);
        };
        let (types, fields) = numbered('r', routes.arms.len());
        let calls = fields.iter().enumerate().map(|(i, field)| {
            let number = if i == last { quote!(_) } else { number(i) };
            quote!(#number => #p::Backend::call(&self.#field, req, state).await,)
        });
        let index = match is_outermost {
            true => quote!(#p::route_index(&req)),
            false => quote!((self.route)(req.key())),
        };
        let route = is_outermost.then(|| {
            let names = routes.arms.iter().map(name);
            quote! {
                fn route(&self, key: &#p::str) -> #p::Option<#p::Route> {
                    const NAMES: &[&#p::str] = &[#(#names),*];
                    let index = (self.route)(key);
                    #p::Some(#p::Route { index, name: NAMES[index] })
                }
            }
        });
        let owed = fields
            .iter()
            .map(|field| quote!(#p::Backend::<S>::owes_reply(&self.#field, req)));
        let owes_reply = match is_outermost {
            true => {
                let arms = owed.enumerate().map(|(i, owed)| {
                    let number = if i == last { quote!(_) } else { number(i) };
                    quote!(#number => #owed,)
                });
                quote!(match #p::route_index(req) { #(#arms)* })
            }
            // The user's guards are asked twice only where it matters.
            false => quote! {
                let owed = [#(#owed),*];
                match owed.iter().all(|owes| *owes == owed[0]) {
                    true => owed[0],
                    false => owed[(self.route)(req.key())],
                }
            },
        };
        let key_fn = self.key_fn(routes);
        let targets = routes.arms.iter().map(|arm| self.arm_target(arm));
        quote! {{
            struct __WasabiRoutes<K, #(#types),*> { route: K, #(#fields: #types),* }
            impl<S, K, #(#types),*> #p::Backend<S> for __WasabiRoutes<K, #(#types),*>
            where
                S: #p::Sync,
                K: #p::Fn(&#p::str) -> #p::usize + #p::Send + #p::Sync,
                #(#types: #p::Backend<S>,)*
            {
                // Not an `async fn`: its future would have room for the request twice.
                fn call(
                    &self,
                    req: #p::Request,
                    state: &S,
                ) -> impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send {
                    async move { match #index { #(#calls)* } }
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

    fn key_fn(&self, routes: &Match) -> TokenStream {
        let p = &self.p;
        let key = routes.key().unwrap_or_else(|| local("key"));
        let scrutinee = self.emit(&routes.scrutinee);
        let arms = routes.arms.iter().enumerate().map(|(i, arm)| {
            let (cfg, pattern, number) = (&arm.attrs.cfg, &arm.pattern, number(i));
            if !arm.bare_alternatives().is_empty() {
                // Reported already.
                return quote!(#(#cfg)* _ => #number,);
            }
            let guard = arm.guard.as_ref().map(|guard| {
                let guard = self.emit(guard);
                quote!(if #guard)
            });
            quote!(#(#cfg)* #pattern #guard => #number,)
        });
        // A mistake that is reported already is not to be reported by the compiler in its own words.
        let missing = (routes.is_on_text() && !routes.has_catch_all()).then(|| {
            let last = number(routes.arms.len() - 1);
            quote!(_ => #last,)
        });
        let routed = quote_spanned!(routes.keyword=> match #scrutinee { #(#arms)* #missing });
        if !self.is_mistaken {
            return quote!(#p::key_fn(move |#key| #routed));
        }
        let index = local("index");
        quote!(#p::key_fn(move |#key| {
            #[allow(unreachable_patterns)]
            let #index = #routed;
            #index
        }))
    }

    fn arm_target(&self, arm: &Arm) -> TokenStream {
        let (p, cfg, target) = (&self.p, &arm.attrs.cfg, self.target(&arm.target, false));
        if cfg.is_empty() {
            return target;
        }
        let conditions = cfg
            .iter()
            .filter_map(|attr| attr.meta.require_list().ok())
            .map(|list| &list.tokens);
        let (condition, name) = (quote!(all(#(#conditions),*)), local("target"));
        // The field stays, so that the struct needs no `cfg`.
        quote!({
            #[cfg(#condition)]
            let #name = #target;
            #[cfg(not(#condition))]
            let #name = #p::Absent;
            #name
        })
    }
}

fn number(i: usize) -> TokenStream {
    proc_macro2::Literal::usize_unsuffixed(i).to_token_stream()
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
