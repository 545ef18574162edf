//! With the cargo feature `schema`: a function whose future tells what is known of the function.
//!
//! Nothing else comes along wherever a function is imported, under whatever name: its own type can have no `impl`, an item
//! beside it stays behind, and one of the same name could be a module of the user's.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Expr, ExprLit, FnArg, ItemFn, Lit, Meta, Pat, ReturnType, Signature, Type,
    Visibility, parse_quote_spanned,
};

use super::has_word;

/// What belongs to the function that others see, and what to both.
const OUTER: &[&str] = &["cfg", "deprecated", "doc", "must_use"];
const BOTH: &[&str] = &["allow", "deny", "expect", "forbid", "warn"];

/// The function with the same signature around it; `None` for one that an attribute could not put there.
pub(super) fn told(function: &ItemFn, types: &[&Type], p: &TokenStream) -> Option<TokenStream> {
    let signature = &function.sig;
    let is_plain = signature.generics.params.is_empty()
        && signature.constness.is_none()
        && signature.abi.is_none()
        && signature.variadic.is_none();
    if !is_plain {
        return None;
    }
    let (mut outer, mut inner) = (function.clone(), function.clone());
    let is_any =
        |attr: &Attribute, names: &[&str]| names.iter().any(|name| attr.path().is_ident(name));
    outer
        .attrs
        .retain(|attr| is_any(attr, OUTER) || is_any(attr, BOTH));
    inner.attrs.retain(|attr| !is_any(attr, OUTER));
    inner.vis = Visibility::Inherited;

    outer.sig.asyncness = None;
    let arguments = named(&mut outer.sig)?;
    let reply = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    outer.sig.output =
        parse_quote_spanned!(Span::mixed_site()=> -> impl #p::Future<Output = #reply> + #p::Tells);
    let failing = match &signature.output {
        ReturnType::Type(_, ty) if !has_word(ty, "impl") => quote!(#p::ask::<#ty>().codes()),
        _ => quote!(#p::None),
    };
    let (name, docs) = (&signature.ident, docs(&function.attrs));
    let call = quote_spanned!(name.span()=> #name(#(#arguments),*));
    let (attrs, vis, signature) = (&outer.attrs, &outer.vis, &outer.sig);
    Some(quote! {
        #(#attrs)*
        #vis #signature {
            #inner
            struct __WasabiKnown;
            impl #p::Knows for __WasabiKnown {
                const DOCS: &'static #p::str = #docs;
                fn inputs() -> #p::Schemas {
                    #p::Box::new([#(#p::ask::<#types>().schema()),*])
                }
                fn failing() -> #p::Option<#p::Codes> {
                    #failing
                }
            }
            #p::telling::<_, __WasabiKnown>(#call)
        }
    })
}

/// Makes every argument a name, and returns the names.
fn named(signature: &mut Signature) -> Option<Vec<Ident>> {
    let arguments = signature.inputs.iter_mut().enumerate();
    let named = arguments.map(|(i, argument)| {
        let FnArg::Typed(argument) = argument else {
            return None;
        };
        let name = match &*argument.pat {
            Pat::Ident(name) if name.subpat.is_none() => name.ident.clone(),
            _ => format_ident!("a{i}", span = Span::mixed_site()),
        };
        argument.attrs.clear();
        argument.pat = parse_quote_spanned!(name.span()=> #name);
        Some(name)
    });
    named.collect()
}

/// The documentation comment. What the expression of `#[doc = include_str!(..)]` gives is not known here.
fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    let lines = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
