//! What the attributes have in common.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Path, Token,
    parse::{ParseStream, Parser},
};

use crate::{diagnostics::Diagnostics, krate};

/// Reads the options of an attribute, those beside `crate = path` by a function that gets their names.
pub(crate) fn options(
    tokens: TokenStream,
    mut option: impl FnMut(&Ident, ParseStream<'_>) -> syn::Result<()>,
    diagnostics: &mut Diagnostics,
) -> Option<Path> {
    let mut found = None;
    let parse = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if input.peek(Token![crate]) {
                let (_, path) = krate::parse(input)?;
                found = Some(path);
            } else {
                let name: Ident = input.parse()?;
                option(&name, input)?;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    };
    if let Err(error) = parse.parse2(tokens) {
        diagnostics.push(error);
    }
    found
}

/// An option that the attribute does not have.
pub(crate) fn unknown(name: &Ident, known: &str) -> syn::Error {
    let message = format!("there is no option `{name}`; these are: {known}");
    syn::Error::new(name.span(), message)
}

/// The token that stands for an item where it cannot be read.
pub(crate) fn first(item: &TokenStream) -> Option<TokenTree> {
    item.clone().into_iter().next()
}
