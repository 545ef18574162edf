#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/wrong", with([CircuitBreaker::new(5, 10s), Cache::new(1s)], echo)),
        channel("/right", with([Cache::new(1s), CircuitBreaker::new(5, 10s)], echo)),
    );
}
