//! `gateway!` and `routes!`: parse → ast → check → expand.

mod ast;
mod check;
mod expand;
mod parse;
mod settings;

use proc_macro2::TokenStream;

use crate::{diagnostics::Diagnostics, literals, units};

/// `has_schema`: whether routes say what they take and answer. The rest is the same, token for token.
pub(crate) fn expand(input: TokenStream, has_schema: bool) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    units::check(&input, &mut diagnostics);
    let gateway = parse::gateway(input.clone(), &mut diagnostics);
    check::gateway(&gateway, &mut diagnostics);
    literals::check_calls(&input, &mut diagnostics);
    expand::gateway(&gateway, has_schema, &diagnostics)
}

/// `routes!`.
pub(crate) fn expand_set(input: TokenStream, has_schema: bool) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    units::check(&input, &mut diagnostics);
    let set = parse::set(input.clone(), &mut diagnostics);
    check::set(&set, &mut diagnostics);
    literals::check_calls(&input, &mut diagnostics);
    expand::set(&set, has_schema, &diagnostics)
}

#[cfg(test)]
mod tests;
