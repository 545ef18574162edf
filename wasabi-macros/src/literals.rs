//! Literals with a grammar of their own, in lists and in the arguments of calls.

mod known;

use proc_macro2::TokenStream;
use syn::LitStr;

pub(crate) use self::known::check_calls;
use crate::{
    diagnostics::Diagnostics,
    fragment::{elements, string},
};

fn check_text<T>(
    literal: &LitStr,
    rule: impl Fn(&str) -> Result<T, String>,
    diagnostics: &mut Diagnostics,
) {
    if let Err(message) = rule(&literal.value()) {
        diagnostics.error(literal, message);
    }
}

/// Checks the string literals in a list in brackets.
pub(crate) fn check_list<T>(
    tokens: &TokenStream,
    rule: impl Fn(&str) -> Result<T, String>,
    diagnostics: &mut Diagnostics,
) {
    for literal in elements(tokens)
        .unwrap_or_default()
        .iter()
        .filter_map(string)
    {
        check_text(&literal, &rule, diagnostics);
    }
}
