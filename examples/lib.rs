//! Nothing: the programs are beside this file, `cargo run --example quickstart` runs one.
