//! The macros of the `wasabi` crate, which re-exports and documents them: depend on `wasabi` and not on this crate.
//!
//! `gateway!` goes through four steps, one module each: parse → ast → check → expand. Parsing never stops at the
//! first mistake and expansion always emits what the user wrote, so that one mistake gives one error and editors
//! keep completing.

mod attribute;
#[cfg(test)]
mod attribute_tests;
mod backend;
mod diagnostics;
mod extractor;
mod fragment;
mod gateway;
mod krate;
mod literals;
mod middleware;
mod units;

#[cfg(not(fuzzing))]
use proc_macro::TokenStream;

/// Declares a gateway; documented as `wasabi::gateway!`.
#[cfg(not(fuzzing))]
#[proc_macro]
pub fn gateway(input: TokenStream) -> TokenStream {
    gateway::expand(input.into(), false).into()
}

/// The same with the cargo feature `schema` of `wasabi`.
#[cfg(not(fuzzing))]
#[proc_macro]
pub fn gateway_with_schema(input: TokenStream) -> TokenStream {
    gateway::expand(input.into(), true).into()
}

/// Declares a set of routes; documented as `wasabi::routes!`.
#[cfg(not(fuzzing))]
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    gateway::expand_set(input.into(), false).into()
}

/// The same with the cargo feature `schema` of `wasabi`.
#[cfg(not(fuzzing))]
#[proc_macro]
pub fn routes_with_schema(input: TokenStream) -> TokenStream {
    gateway::expand_set(input.into(), true).into()
}

/// Checks a backend function where it is defined; documented as `#[wasabi::backend]`.
#[cfg(not(fuzzing))]
#[proc_macro_attribute]
pub fn backend(options: TokenStream, item: TokenStream) -> TokenStream {
    backend::expand(options.into(), item.into(), false).into()
}

/// The same with the cargo feature `schema` of `wasabi`.
#[cfg(not(fuzzing))]
#[proc_macro_attribute]
pub fn backend_with_schema(options: TokenStream, item: TokenStream) -> TokenStream {
    backend::expand(options.into(), item.into(), true).into()
}

/// Makes a middleware of a function; documented as `#[wasabi::middleware]`.
#[cfg(not(fuzzing))]
#[proc_macro_attribute]
pub fn middleware(options: TokenStream, item: TokenStream) -> TokenStream {
    middleware::expand(options.into(), item.into()).into()
}

/// The macros for fuzz targets, which cannot link a crate of procedural macros.
#[cfg(fuzzing)]
#[allow(missing_docs)]
pub mod fuzzing {
    use proc_macro2::TokenStream;

    pub fn gateway(input: TokenStream) -> TokenStream {
        crate::gateway::expand(input, false)
    }

    pub fn routes(input: TokenStream) -> TokenStream {
        crate::gateway::expand_set(input, false)
    }

    pub fn backend(options: TokenStream, item: TokenStream) -> TokenStream {
        crate::backend::expand(options, item, false)
    }

    pub fn middleware(options: TokenStream, item: TokenStream) -> TokenStream {
        crate::middleware::expand(options, item)
    }
}
