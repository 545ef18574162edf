//! `crate = path`: where the `wasabi` crate is to be found.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Path, Token, parse::ParseStream};

/// Reads it, and its first word.
pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<(Token![crate], Path)> {
    let keyword = input.parse()?;
    input.parse::<Token![=]>()?;
    Ok((keyword, input.call(Path::parse_mod_style)?))
}

/// The path to what expansions name.
pub(crate) fn private(krate: Option<&Path>) -> TokenStream {
    match krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::wasabi::__private),
    }
}
