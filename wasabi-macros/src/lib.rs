//! The macros of the `wasabi` crate.
