//! The function that `#[backend]` puts around the user's: it has the same signature, checks it, and marks the future, so
//! that `gateway!` neither requires nor reports again what has been checked.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, ItemFn, Meta, Pat, ReturnType, Signature, Type, Visibility,
    parse_quote_spanned, spanned::Spanned,
};

use super::{Options, has_word, told};
use crate::{
    extractor::{self, pairs},
    krate,
};

/// What belongs to the function that others see, and what to both.
const OUTER: &[&str] = &["cfg", "deprecated", "doc", "must_use"];
const BOTH: &[&str] = &["allow", "deny", "expect", "forbid", "warn"];

/// So many arguments Clippy allows.
const CLIPPY_ARGUMENTS: usize = 7;

/// `None` for a function that keeps its form: the types of a generic one are unknown here.
pub(super) fn around(
    function: &ItemFn,
    types: &[&Type],
    options: &Options,
    has_schema: bool,
) -> Option<TokenStream> {
    if !is_plain(&function.sig) {
        return None;
    }
    let p = krate::private(options.krate.as_ref());
    let (mut outer, mut inner) = (function.clone(), function.clone());
    let is_any =
        |attr: &Attribute, names: &[&str]| names.iter().any(|name| attr.path().is_ident(name));
    outer
        .attrs
        .retain(|attr| is_any(attr, OUTER) || is_any(attr, BOTH));
    outer.attrs.iter_mut().for_each(allow);
    inner.attrs.retain(|attr| !is_any(attr, OUTER));
    inner.vis = Visibility::Inherited;

    let extractors = Extractors::new(types, options, &p);
    outer.sig.asyncness = None;
    let arguments = named(&mut outer.sig)?;
    outer.sig.output = returned(&function.sig, &extractors, &p, has_schema);
    let known = has_schema.then(|| told::known(function, types, &p));
    let knows = has_schema.then(|| quote!(, __WasabiKnown));
    let name = &function.sig.ident;
    let future = local(&function.sig.output);
    let call = quote_spanned! {name.span()=>
        #p::attributed::<_, #p::Attribute<_, _ #knows>>(#name(#(#arguments),*), |__wasabi_future| __wasabi_future)
    };
    let (reply, checks) = (reply(&function.sig.output, &p), &extractors.checks);
    let (attrs, vis, signature) = (&outer.attrs, &outer.vis, &outer.sig);
    // Clippy has said it of the function inside.
    let many =
        (types.len() > CLIPPY_ARGUMENTS).then(|| quote!(#[allow(clippy::too_many_arguments)]));
    Some(quote! {
        #(#attrs)*
        #many
        #vis #signature {
            #inner
            #known
            #(#checks)*
            let #future = #call;
            #reply
            #future
        }
    })
}

/// The variable of the future. No user has a constant of this name. Where the return type is unknown, an error shows the
/// variable: it is where the user wrote the type.
fn local(output: &ReturnType) -> Ident {
    let place = match output {
        ReturnType::Type(_, ty) if has_word(ty, "impl") => ty.span(),
        _ => Span::mixed_site(),
    };
    Ident::new("__wasabi_future", place)
}

/// What is expected of the user's function may not be there in this one.
fn allow(attr: &mut Attribute) {
    if let (true, Meta::List(list)) = (attr.path().is_ident("expect"), &mut attr.meta) {
        list.path = parse_quote_spanned!(list.path.span()=> allow);
    }
}

/// Whether the types of the signature are known here, and the same signature can stand on a function that is not `async`.
fn is_plain(signature: &Signature) -> bool {
    let is_unknown = |ty: &Type| has_word(ty, "impl") || has_lifetime(ty);
    signature.generics.params.is_empty()
        && signature.constness.is_none()
        && signature.abi.is_none()
        && signature.variadic.is_none()
        && !signature
            .inputs
            .iter()
            .any(|argument| matches!(argument, FnArg::Typed(argument) if is_unknown(&argument.ty)))
}

fn has_lifetime(ty: &Type) -> bool {
    let text = ty.to_token_stream().to_string();
    text.replace("'static", "").contains('\'')
}

/// The arguments.
struct Extractors {
    /// Those that are checked here.
    seen: TokenStream,
    /// What is left to `gateway!`.
    left: TokenStream,
    checks: Vec<TokenStream>,
}

impl Extractors {
    fn new(types: &[&Type], options: &Options, p: &TokenStream) -> Self {
        let check = |state: &TokenStream, ty: &Type| extractor::required(state, ty, p);
        if let Some(state) = options.state.as_ref().map(ToTokens::to_token_stream) {
            return Self {
                seen: quote!(()),
                left: quote!(#p::OnlyFor<#state>),
                checks: types.iter().map(|ty| check(&state, ty)).collect(),
            };
        }
        // Only the gateway's declaration knows what its state provides.
        let (left, seen): (Vec<&Type>, Vec<&Type>) =
            types.iter().partition(|ty| has_word(ty, "State"));
        let checks = seen.iter().map(|ty| check(&quote!(()), ty));
        Self {
            checks: checks.collect(),
            seen: pairs(&seen),
            left: pairs(&left),
        }
    }
}

/// The return type of the function around.
fn returned(
    signature: &Signature,
    extractors: &Extractors,
    p: &TokenStream,
    has_schema: bool,
) -> ReturnType {
    let reply = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let Extractors { seen, left, .. } = extractors;
    let tells = has_schema.then(|| quote!(+ #p::Tells));
    parse_quote_spanned! {Span::mixed_site()=>
        -> impl #p::Future<Output = #reply> + #p::TakesExtractors<Seen = #seen, Left = #left> #tells
    }
}

/// Requires that the return type is a reply, with its span.
fn reply(output: &ReturnType, p: &TokenStream) -> Option<TokenStream> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) if has_word(ty, "impl") => {
            let future = local(output);
            let reply = quote_spanned!(ty.span()=> <_ as #p::IntoReply>::into_reply);
            Some(quote_spanned!(ty.span()=> #p::required_of_output(&#future, #reply);))
        }
        ReturnType::Type(_, ty) => {
            Some(quote_spanned!(ty.span()=> #p::required(<#ty as #p::IntoReply>::OWES_REPLY);))
        }
    }
}

/// Makes every argument a name, and returns the names.
fn named(signature: &mut Signature) -> Option<Vec<Ident>> {
    let function = &signature.ident;
    let arguments = signature.inputs.iter_mut().enumerate();
    let named = arguments.map(|(i, argument)| {
        let FnArg::Typed(argument) = argument else {
            return None;
        };
        let name = match &*argument.pat {
            // The function inside would hide an argument of its name.
            Pat::Ident(name) if name.subpat.is_none() && name.ident != *function => {
                let mut name = name.ident.clone();
                name.set_span(Span::mixed_site().located_at(name.span()));
                name
            }
            _ => format_ident!("a{i}", span = Span::mixed_site()),
        };
        argument.attrs.clear();
        argument.pat = parse_quote_spanned!(name.span()=> #name);
        Some(name)
    });
    named.collect()
}
