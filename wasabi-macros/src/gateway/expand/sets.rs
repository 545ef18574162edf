//! `routes = [..]`: a struct with a field for each set and one for the target of all other keys.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

use super::{
    context::{Context, local, number, numbered},
    described,
    info::{set_info, target_info},
    keys::keys,
    routes::{Place, bits},
    target::{conditional, matched, stack},
};
use crate::gateway::ast::{Listed, Match, Target, is_capital};

/// What answers the keys that no set has.
pub(super) struct Rest<'a> {
    pub(super) target: TokenStream,
    pub(super) info: TokenStream,
    /// Its expression, if it is one backend.
    pub(super) label: String,
    /// Its own routes, whose keys no set has.
    pub(super) routes: Option<&'a Match>,
    /// Whether it is the rest of a set, which does not answer every key.
    pub(super) is_set: bool,
}

/// `around` puts what is around all of them into the description.
// Long: the struct of the sets and its implementations.
pub(super) fn sets(
    sets: &[Listed],
    rest: &Rest<'_>,
    around: impl Fn(TokenStream) -> TokenStream,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let Rest {
        target,
        info,
        label,
        routes,
        is_set,
    } = rest;
    let (types, fields) = numbered('r', sets.len());
    let values: Vec<_> = (0..sets.len()).map(|i| local(&format!("set{i}"))).collect();
    let made = sets.iter().map(|set| listed(set, cx));
    let own = routes.map(|routes| {
        let keys = keys(routes, cx);
        quote! {
            struct __WasabiOwn;
            impl #p::Keyed for __WasabiOwn {
                const KEYS: &'static #p::Keys = #keys;
            }
        }
    });
    let keys_of_rest = own
        .is_some()
        .then(|| quote!(<__WasabiOwn as #p::Keyed>::KEYS));
    let proofs = proofs(sets, &values, routes.map(|routes| routes.keyword), cx);
    let bits = number(bits(sets.len() + 1));
    let numbers: Vec<_> = (1..=sets.len()).map(number).collect();
    let last = number(sets.len() + 1);
    let infos = sets.iter().zip(&types).map(|(set, ty)| {
        let innermost = quote!(<#ty as #p::Described>::INFO);
        let (cfg, info) = (&set.cfg, set_info(&set.target, &innermost, cx));
        quote!(#(#cfg)* #info)
    });
    let described = around(quote! {
        #p::TargetInfo::Sets { sets: &[#(#infos),*], target: &#info }
    });
    let describes = described::sets(sets, label, &bits, cx);
    let rest = match is_set {
        true => quote! {
            let __inner = #p::Backend::<S>::route(&self.rest, __key)?;
            #p::Some(#p::Route::through(#last, #bits, "", #p::Some(__inner)))
        },
        false => quote! {
            let __inner = #p::Backend::<S>::route(&self.rest, __key);
            #p::Some(#p::Route::through(#last, #bits, "_", __inner))
        },
    };
    let as_set = is_set.then(|| {
        quote! {
            impl<#(#types: #p::Keyed,)* T> #p::Keyed for __WasabiSets<#(#types,)* T> {
                const KEYS: &'static #p::Keys = &#p::Keys {
                    inner: &[#(#types::KEYS,)* #keys_of_rest],
                    ..#p::Keys::NONE
                };
            }
            impl<S, #(#types,)* T> #p::Routes<S> for __WasabiSets<#(#types,)* T>
            where
                S: #p::Sync,
                #(#types: #p::Routes<S>,)*
                T: #p::Routes<S>,
            {}
        }
    });
    quote! {{
        #(let #values = #made;)*
        #own
        #proofs
        struct __WasabiSets<#(#types,)* T> { #(#fields: #types,)* rest: T }
        impl<S, #(#types,)* T> #p::Backend<S> for __WasabiSets<#(#types,)* T>
        where
            S: #p::Sync,
            #(#types: #p::Routes<S>,)*
            T: #p::Backend<S>,
        {
            fn call(
                &self,
                mut __req: #p::Request,
                __state: &S,
            ) -> impl #p::Future<Output = #p::Result<#p::Reply, #p::Error>> + #p::Send {
                async move {
                    match #p::take_arm(&mut __req, #bits, |__key| #p::Backend::<S>::route(self, __key)) {
                        #(#numbers => #p::Backend::call(&self.#fields, __req, __state).await,)*
                        _ => #p::Backend::call(&self.rest, __req, __state).await,
                    }
                }
            }
            fn owes_reply(&self, __req: &#p::Request) -> #p::bool {
                match #p::Backend::<S>::route(self, __req.key()) {
                    #p::Some(__route) => #p::Backend::<S>::owes_reply_on(self, __req, __route.path),
                    #p::None => true,
                }
            }
            fn owes_reply_on(&self, __req: &#p::Request, __path: #p::u64) -> #p::bool {
                let (__arm, __path) = #p::split(__path, #bits);
                match __arm {
                    0 => #p::Backend::<S>::owes_reply(self, __req),
                    #(#numbers => #p::Backend::<S>::owes_reply_on(&self.#fields, __req, __path),)*
                    _ => #p::Backend::<S>::owes_reply_on(&self.rest, __req, __path),
                }
            }
            fn route(&self, __key: &#p::str) -> #p::Option<#p::Route> {
                #(
                    if let #p::Some(__inner) = #p::Backend::<S>::route(&self.#fields, __key) {
                        return #p::Some(#p::Route::through(#numbers, #bits, "", #p::Some(__inner)));
                    }
                )*
                #rest
            }
            fn lifecycle(&self, __visit: &mut dyn #p::FnMut(&dyn #p::Lifecycle)) {
                __visit(&#p::Duplicates(&[#(#types::KEYS,)* #keys_of_rest]));
                #(#p::Backend::<S>::lifecycle(&self.#fields, __visit);)*
                #p::Backend::<S>::lifecycle(&self.rest, __visit);
            }
            #describes
        }
        impl<#(#types: #p::Described,)* T> #p::Described for __WasabiSets<#(#types,)* T> {
            const INFO: #p::TargetInfo = #described;
        }
        #as_set
        __WasabiSets { #(#fields: #values,)* rest: #target }
    }}
}

/// The value of an element.
fn listed(set: &Listed, cx: &Context) -> TokenStream {
    fn value(target: &Target, cx: &Context) -> TokenStream {
        let p = &cx.p;
        match target {
            Target::Missing | Target::Balance { .. } => quote!(#p::Absent),
            Target::Expr(set) => cx.checked("routes", set),
            Target::With { middleware, target } => {
                let middleware = middleware.iter().map(|one| cx.checked("middleware", one));
                stack(middleware.collect(), value(target, cx), cx)
            }
            Target::Match(routes) => {
                let info = target_info(target, Place::Channel, cx);
                matched(routes, Place::Set(&info), cx)
            }
        }
    }
    conditional(&set.cfg, value(&set.target, cx), cx)
}

/// Has the compiler compare the keys of each set with those of the sets before it, and the keys of the rest with all.
///
/// A constant in a pattern is evaluated by `cargo check`, and not only when code is generated; but it must not depend on
/// type parameters. So what may have the type of a parameter is compared by a constant in an expression.
fn proofs(sets: &[Listed], values: &[Ident], own: Option<Span>, cx: &Context) -> TokenStream {
    if cx.is_mistaken {
        return quote!();
    }
    let p = &cx.p;
    let later = sets
        .iter()
        .map(|set| (place(&set.target), is_known(&set.target)));
    let later = later.zip(values.iter().map(|value| quote!(#value)));
    let later = later.chain(own.map(|at| ((at, true), quote!(ThisMatch))));
    // The names are those that an error shows; no code of the user's sees them.
    let own = own.map(|_| {
        quote! {
            struct ThisMatch;
            impl #p::Keyed for ThisMatch {
                const KEYS: &'static #p::Keys = <__WasabiOwn as #p::Keyed>::KEYS;
            }
        }
    });
    let (known, other) = (local("known"), local("other"));
    let mut proofs = quote!(let (#known, #other) = ((), ()););
    for ((at, is_known), value) in later {
        let here = cx.p_at(at);
        let proof = quote_spanned!(at=> #here::proof::<A, B>());
        let (with_known, earlier) = match is_known {
            true => (
                quote!(match #p::both(&#known, &#value) { KeysOf::<_, _>::DIFFER => {} }),
                &known,
            ),
            false => (
                quote!(#p::proven(#p::both(&#known, &#value), KeysOf::<_, _>::DIFFER);),
                &other,
            ),
        };
        proofs.extend(quote! {
            {
                struct KeysOf<A, B>(#p::PhantomData<(A, B)>);
                impl<A: #p::Keyed, B: #p::Keyed> KeysOf<A, B> {
                    const DIFFER: #p::Both<A, B> = #proof;
                }
                #with_known
                #p::proven(#p::both(&#other, &#value), KeysOf::<_, _>::DIFFER);
            }
            let #earlier = (&#value, #earlier);
        });
    }
    quote!(#[allow(dead_code)] { #own #proofs let _ = (#known, #other); })
}

/// Whether the type of the element is known where the gateway is declared: it is what a function of a module returns.
fn is_known(target: &Target) -> bool {
    match target {
        Target::Missing | Target::Balance { .. } | Target::Match(_) => true,
        Target::With { target, .. } => is_known(target),
        Target::Expr(set) => {
            let mut tokens = set.tokens().clone().into_iter().peekable();
            let mut is_path = false;
            loop {
                match tokens.next() {
                    Some(TokenTree::Ident(name)) if !is_capital(&name) => is_path = true,
                    Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => {}
                    Some(TokenTree::Group(group)) => {
                        let is_call = group.delimiter() == Delimiter::Parenthesis;
                        return is_path && is_call && tokens.peek().is_none();
                    }
                    _ => return false,
                }
            }
        }
    }
}

/// Where an element is written.
fn place(target: &Target) -> Span {
    match target {
        Target::Missing => Span::mixed_site(),
        Target::Expr(set) => set.span(),
        Target::With { target, .. } => place(target),
        Target::Balance { keyword, .. } => *keyword,
        Target::Match(routes) => routes.keyword,
    }
}
