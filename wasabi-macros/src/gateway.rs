//! `gateway!` and `routes!`: parse → ast → check → expand.

mod ast;
mod check;
mod expand;
mod parse;
mod settings;

use proc_macro2::TokenStream;

use crate::{diagnostics::Diagnostics, literals, units};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    units::check(&input, &mut diagnostics);
    let gateway = parse::gateway(input.clone(), &mut diagnostics);
    check::gateway(&gateway, &mut diagnostics);
    literals::check_calls(&input, &mut diagnostics);
    expand::gateway(&gateway, &diagnostics)
}

/// `routes!`.
pub(crate) fn expand_set(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    units::check(&input, &mut diagnostics);
    let set = parse::set(input.clone(), &mut diagnostics);
    check::set(&set, &mut diagnostics);
    literals::check_calls(&input, &mut diagnostics);
    expand::set(&set, &diagnostics)
}

#[cfg(test)]
mod tests;
