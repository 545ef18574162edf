//! `gateway!`: parse → ast → validate → expand.

mod ast;
mod expand;
mod parse;
mod settings;
mod urls;
mod validate;
mod warnings;

use proc_macro2::TokenStream;

use crate::{diagnostics::Diagnostics, units};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    units::check(&input, &mut diagnostics);
    let gateway = parse::gateway(input.clone(), &mut diagnostics);
    validate::gateway(&gateway, &mut diagnostics);
    crate::literals::check_calls(&input, &mut diagnostics);
    expand::gateway(&gateway, &diagnostics)
}

#[cfg(test)]
mod tests;
