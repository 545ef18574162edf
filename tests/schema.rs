//! What a gateway says of itself: what its routes take and answer, and with which errors.

// The program prints the document that stands beside it.
#[path = "../examples/asyncapi.rs"]
mod example;

mod schema {
    mod asyncapi;
    mod closes;
    mod codes;
    mod console;
    mod document;
    mod examples;
    mod golden;
    mod guarded;
    mod handshake;
    mod keys;
    mod lints;
    mod logins;
    mod messages;
    mod protocols;
    mod sends;
    mod typed;
    mod types;
}
