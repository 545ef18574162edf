//! Empty: the programs are beside this file. Run one with `cargo run --example quickstart`.
