//! `match key { .. }`: a struct with a field for each arm, and a closure from the key to the number of the arm.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Pat;

use super::{
    context::{Context, local, number, numbered},
    described,
    keys::keys,
};
use crate::{
    fragment,
    gateway::ast::{Arm, Match, Target, is_capital},
};

/// Where a `match` is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Its arms are the routes of a channel.
    Channel,
    /// Its arms are a set of routes, which is described so.
    Set(&'a TokenStream),
    /// In the arm of this name.
    Arm(&'a str),
}

/// The arm is found before the first middleware runs, and the request carries its number.
// Long: the struct of the routes and its implementations.
pub(super) fn routes(
    routes: &Match,
    names: &[String],
    targets: &[TokenStream],
    place: Place<'_>,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let count = routes.arms.len();
    if count == 0 {
        return quote!(#p::Absent);
    }
    let (types, fields) = numbered('r', count);
    let bits = number(bits(count));
    let arms = match place {
        Place::Set(_) => numbers(count + 1),
        _ => numbers(count),
    };
    let calls = arms
        .zip(&fields)
        .map(|(arm, field)| quote!(#arm => #p::Backend::call(&self.#field, __req, __state).await,));
    let owed = numbers(count).zip(&fields).map(
        |(arm, field)| quote!(#arm => #p::Backend::<S>::owes_reply_on(&self.#field, __req, __path),),
    );
    let (owes_reply, unknown) = match place {
        Place::Channel => (
            quote! {
                let __path = #p::path_of(#p::Backend::<S>::route(self, __req.key()));
                #p::Backend::<S>::owes_reply_on(self, __req, __path)
            },
            quote!(),
        ),
        Place::Arm(_) | Place::Set(_) => {
            let count = number(count);
            (
                quote! {
                    #p::owes(
                        #count,
                        |__arm| #p::Backend::<S>::owes_reply_on(self, __req, __arm),
                        || (self.route)(__req.key()),
                    )
                },
                quote!(0 => #p::Backend::<S>::owes_reply(self, __req),),
            )
        }
    };
    let is_set = matches!(place, Place::Set(_));
    let other = is_set.then(|| quote!(_ => #p::Result::Err(#p::Error::NoRoute),));
    let name = match is_set {
        true => quote!(NAMES.get(__index)?),
        false => quote!(NAMES[__index]),
    };
    let inner = inner(routes, cx);
    let describes = described::routes(routes, names, &bits, cx);
    let key_fn = key_fn(routes, is_set, cx);
    let made = quote!(__WasabiRoutes { route: #key_fn, #(#fields: #targets),* });
    let made = match place {
        Place::Set(info) => declared(routes, info, &made, cx),
        Place::Channel | Place::Arm(_) => made,
    };
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
                mut __req: #p::Request,
                __state: &S,
            ) -> impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send {
                async move {
                    match #p::take_arm(&mut __req, #bits, |__key| #p::Backend::<S>::route(self, __key)) {
                        #(#calls)*
                        #other
                    }
                }
            }
            fn owes_reply(&self, __req: &#p::Request) -> #p::bool {
                #owes_reply
            }
            fn owes_reply_on(&self, __req: &#p::Request, __path: #p::u64) -> #p::bool {
                let (__arm, __path) = #p::split(__path, #bits);
                match __arm { #unknown #(#owed)* }
            }
            fn route(&self, __key: &#p::str) -> #p::Option<#p::Route> {
                const NAMES: &[&#p::str] = &[#(#names),*];
                let __index = (self.route)(__key);
                #p::Some(#p::Route::through(__index as #p::u64 + 1, #bits, #name, #inner))
            }
            fn lifecycle(&self, __visit: &mut dyn #p::FnMut(&dyn #p::Lifecycle)) {
                #(#p::Backend::<S>::lifecycle(&self.#fields, __visit);)*
            }
            #describes
        }
        #made
    }}
}

/// The routes with what the type of a set says of them.
fn declared(routes: &Match, info: &TokenStream, made: &TokenStream, cx: &Context) -> TokenStream {
    let (p, keys) = (&cx.p, keys(routes, cx));
    quote! {
        struct __WasabiDeclared;
        impl #p::Declares for __WasabiDeclared {
            const KEYS: &'static #p::Keys = #keys;
            const INFO: #p::TargetInfo = #info;
        }
        #p::Set::<_, __WasabiDeclared>::new(#made)
    }
}

/// The bits that the numbers of this many arms need, which start at 1.
pub(super) fn bits(count: usize) -> usize {
    (usize::BITS - count.leading_zeros()) as usize
}

/// The patterns of the arms' numbers, the last of which takes the rest: `1, 2, _`.
fn numbers(count: usize) -> impl Iterator<Item = TokenStream> {
    (1..=count).map(move |arm| match arm == count {
        true => quote!(_),
        false => number(arm),
    })
}

/// The route inside the arm `index`, if its target has routes.
fn inner(routes: &Match, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let (_, fields) = numbered('r', routes.arms.len());
    let inner: Vec<_> = (routes.arms.iter().zip(fields).enumerate())
        .filter(|(_, (arm, _))| may_have_routes(&arm.target))
        .map(|(i, (_, field))| {
            let number = number(i);
            quote!(#number => #p::Backend::<S>::route(&self.#field, __key),)
        })
        .collect();
    match inner.is_empty() {
        true => quote!(#p::None),
        false => quote!(match __index { #(#inner)* _ => #p::None }),
    }
}

/// Only the compiler knows what other values are.
fn may_have_routes(target: &Target) -> bool {
    match target {
        Target::Missing | Target::Balance { .. } => false,
        Target::Expr(backend) => !backend.is_closure(),
        Target::With { target, .. } => may_have_routes(target),
        Target::Match(_) => true,
    }
}

fn key_fn(routes: &Match, is_set: bool, cx: &Context) -> TokenStream {
    let p = &cx.p;
    let key = routes.key().unwrap_or_else(|| local("key"));
    let scrutinee = cx.emit(&routes.scrutinee);
    let arms = routes.arms.iter().enumerate().map(|(i, arm)| {
        let (cfg, pattern) = (&arm.attrs.cfg, pattern(&arm.pattern));
        let number = number_at(i, arm.end);
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
    let missing = (!is_set && routes.is_on_text() && !routes.has_catch_all()).then(|| {
        let last = number(routes.arms.len() - 1);
        quote!(_ => #last,)
    });
    let other = is_set.then(|| {
        let none = number(routes.arms.len());
        // A set that takes every key has a catch-all that only the compiler sees.
        let deny = (!cx.is_mistaken).then(|| {
            let reason = "a set of routes takes only its own keys, and these arms take every key: the channel answers all others";
            quote_spanned!(routes.keyword=> #[deny(unreachable_patterns, reason = #reason)])
        });
        quote_spanned!(routes.keyword=> #deny _ => #none,)
    });
    let routed = quote_spanned!(routes.keyword=> match #scrutinee { #(#arms)* #missing #other });
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

/// A number in the user's place.
fn number_at(i: usize, place: Span) -> Literal {
    let mut number = Literal::usize_unsuffixed(i);
    number.set_span(number.span().located_at(place));
    number
}

/// The pattern, in which a misspelt constant is an error: a name alone would match everything.
fn pattern(pattern: &Pat) -> Pat {
    fn resolve(pattern: &mut Pat) {
        match pattern {
            Pat::Ident(name) if name.subpat.is_none() && is_capital(&name.ident) => {
                let name = &name.ident;
                *pattern = Pat::Verbatim(quote_spanned!(name.span()=> #name::<>));
            }
            Pat::Ident(binding) => {
                if let Some((_, pattern)) = &mut binding.subpat {
                    resolve(pattern);
                }
            }
            Pat::Or(or) => or.cases.iter_mut().for_each(resolve),
            Pat::Paren(inner) => resolve(&mut inner.pat),
            Pat::Reference(inner) => resolve(&mut inner.pat),
            Pat::Tuple(tuple) => tuple.elems.iter_mut().for_each(resolve),
            Pat::TupleStruct(tuple) => tuple.elems.iter_mut().for_each(resolve),
            Pat::Slice(slice) => slice.elems.iter_mut().for_each(resolve),
            Pat::Struct(fields) => fields
                .fields
                .iter_mut()
                .filter(|field| field.colon_token.is_some())
                .for_each(|field| resolve(&mut field.pat)),
            _ => {}
        }
    }
    let mut pattern = pattern.clone();
    resolve(&mut pattern);
    pattern
}

/// The names of the routes, for people and as labels.
pub(super) fn names(routes: &Match, place: Place<'_>) -> Vec<String> {
    let name = |arm: &Arm| match (place, name(arm)) {
        (Place::Channel | Place::Set(_) | Place::Arm("_"), name) => name,
        // The rest of the keys of an arm is not the rest of all.
        (Place::Arm(outer), name) if name == "_" => outer.to_owned(),
        (Place::Arm(_), name) if routes.is_on_text() => name,
        (Place::Arm(outer), name) => format!("{outer}: {name}"),
    };
    routes.arms.iter().map(name).collect()
}

/// An arm's pattern for people: the key itself, `quote | ticks`, `Ok(Action::Buy)`.
fn name(arm: &Arm) -> String {
    let name = match &arm.pattern {
        Pat::Or(or) => or
            .cases
            .iter()
            .map(name_of_one)
            .collect::<Vec<_>>()
            .join(" | "),
        pattern => name_of_one(pattern),
    };
    match &arm.guard {
        Some(guard) => {
            let guard = fragment::without_secrets(guard.tokens().clone());
            format!("{name} if {}", fragment::text(&guard))
        }
        None => name,
    }
}

fn name_of_one(pattern: &Pat) -> String {
    let name = fragment::text(&fragment::without_secrets(pattern.to_token_stream()));
    let bare = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    match bare {
        Some(bare) if !bare.contains('"') => bare.to_owned(),
        _ => name,
    }
}
