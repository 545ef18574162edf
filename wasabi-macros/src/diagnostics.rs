//! Collects mistakes, to report them together at the end.

use std::fmt::Display;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

/// Every error and warning of one expansion.
#[derive(Default)]
pub(crate) struct Diagnostics {
    errors: Vec<syn::Error>,
    warnings: TokenStream,
}

impl Diagnostics {
    pub(crate) fn error(&mut self, at: impl ToTokens, message: impl Display) {
        self.errors.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn error_at(&mut self, at: Span, message: impl Display) {
        self.errors.push(syn::Error::new(at, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// Adds a warning: the use of a deprecated constant at the user's span, since stable Rust has no other way.
    /// `#[allow(deprecated)]` silences it.
    pub(crate) fn warning(&mut self, at: Span, name: &str, note: impl Display) {
        let (name, note) = (Ident::new(name, at), note.to_string());
        self.warnings.extend(quote_spanned! {at=> {
            #[deprecated(note = #note)]
            #[allow(dead_code)]
            const #name: u8 = 0;
            _ = #name;
        }});
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn messages(&self) -> Vec<String> {
        self.errors.iter().map(ToString::to_string).collect()
    }
}

impl ToTokens for Diagnostics {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.errors.iter().map(syn::Error::to_compile_error));
        tokens.extend(self.warnings.clone());
    }
}
