//! The smallest gateway: every message comes back.
//!
//! `cargo run --example echo`, then `npx wscat -c ws://127.0.0.1:8080/`.

use wasabi::prelude::*;

/// The gateway.
pub(crate) fn gateway() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    println!("every message comes back from ws://127.0.0.1:8080/");
    Server::bind("127.0.0.1:8080").serve(gateway()).await
}
