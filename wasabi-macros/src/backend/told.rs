//! With the cargo feature `schema`: what the future of a function tells of the function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, ItemFn, Lit, Meta, ReturnType, Type};

use super::has_word;

/// The type that knows it, `__WasabiKnown`.
pub(super) fn known(function: &ItemFn, types: &[&Type], p: &TokenStream) -> TokenStream {
    let failing = match &function.sig.output {
        ReturnType::Type(_, ty) if !has_word(ty, "impl") => quote!(#p::ask::<#ty>().codes()),
        _ => quote!(#p::None),
    };
    let docs = docs(&function.attrs);
    quote! {
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
    }
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
