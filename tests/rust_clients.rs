//! The clients that a gateway writes in Rust: what is in the file, and what it does over real sockets.

// The program prints the file that stands beside it.
#[path = "../examples/asyncapi.rs"]
mod example;

mod rust_clients {
    mod groups;
    mod peer;
    mod run;
    #[path = "../typescript/shop.rs"]
    mod shop;
    #[rustfmt::skip]
    mod shop_client;
    #[path = "../../examples/asyncapi_client.rs"]
    #[rustfmt::skip]
    mod trading;
    mod written;
}
