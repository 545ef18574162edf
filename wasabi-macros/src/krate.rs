//! `crate = path`: the path to the `wasabi` crate.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Path, Token, parse::ParseStream};

/// Reads `crate = path`, and returns the keyword and the path.
pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<(Token![crate], Path)> {
    let keyword = input.parse()?;
    input.parse::<Token![=]>()?;
    Ok((keyword, input.call(Path::parse_mod_style)?))
}

/// The path to the private items of the runtime crate.
pub(crate) fn private(krate: Option<&Path>) -> TokenStream {
    match krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::wasabi::__private),
    }
}
