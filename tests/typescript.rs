//! The clients that a gateway writes in TypeScript: what is in the file, and what it does in Node and Chromium.

// The program prints the file that stands beside it.
#[path = "../examples/asyncapi.rs"]
mod example;

mod typescript {
    mod run;
    mod shop;
    mod types;
    mod written;
}
