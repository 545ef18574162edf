//! Any tokens in the macros. Whether the parts that they leave to rustc are Rust is not theirs to say.
#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use proc_macro2::TokenStream;
use wasabi_fuzz_macros::fuzzing as macros;

/// Deeper nesting is rustc's to refuse, before any macro runs.
fn is_deep(text: &str) -> bool {
    text.bytes()
        .filter(|byte| b"([{<!&*-|?.=".contains(byte))
        .count()
        > 200
}

fuzz_target!(|text: &str| {
    if is_deep(text) {
        return;
    }
    let Ok(tokens) = TokenStream::from_str(text) else {
        return;
    };
    let _ = macros::gateway(tokens.clone());
    let _ = macros::backend(TokenStream::new(), tokens.clone());
    let _ = macros::middleware(TokenStream::new(), tokens);
});
