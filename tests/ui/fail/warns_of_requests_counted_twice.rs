#![deny(deprecated)]

use wasabi::{middleware::request::Measured, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        middleware = [Measure::metrics()],
        channel("/twice", middleware = [Measure::metrics()], echo),
        channel("/once", middleware = [Measure::new(|_: Measured<'_>| {})], echo),
    );
}
