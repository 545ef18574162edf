#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        middleware = [Cache::new(5s)],
        channel("/limit", middleware = [RateLimit::per_second(10)], echo),
        channel(
            "/clients",
            match key {
                "a" => with([LimitClients::new().messages_per_second(10)], echo),
                _ => with([Throttle::new(10)], echo),
            }
        ),
    );
}
