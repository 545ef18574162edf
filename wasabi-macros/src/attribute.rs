//! Shared parts of the attributes.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Path, Token,
    parse::{ParseStream, Parser},
};

use crate::{diagnostics::Diagnostics, krate};

/// Reads the options of an attribute. `option` reads each one except `crate = path`, after its name.
pub(crate) fn options(
    tokens: TokenStream,
    mut option: impl FnMut(&Ident, ParseStream<'_>) -> syn::Result<()>,
    diagnostics: &mut Diagnostics,
) -> Option<Path> {
    let (mut found, mut names) = (None, Vec::new());
    let parse = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if input.peek(Token![crate]) {
                let (keyword, path) = krate::parse(input)?;
                if found.replace(path).is_some() {
                    diagnostics.error(keyword, "`crate` is set twice");
                }
            } else {
                let name: Ident = input.parse()?;
                if names.contains(&name) {
                    diagnostics.error(&name, format_args!("`{name}` is set twice"));
                }
                option(&name, input)?;
                names.push(name);
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

/// The error for an unknown option.
pub(crate) fn unknown(name: &Ident, known: &str) -> syn::Error {
    let message = format!("there is no option `{name}`; these are: {known}");
    syn::Error::new(name.span(), message)
}

/// The first token of an item, for errors about an item that does not parse.
pub(crate) fn first(item: &TokenStream) -> Option<TokenTree> {
    item.clone().into_iter().next()
}
