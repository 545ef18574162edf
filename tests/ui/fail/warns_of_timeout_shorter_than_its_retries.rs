#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            middleware = [Timeout::new(500ms)],
            with([Retry::new(Backoff::exponential(100ms).retries(3))], echo),
        ),
    );
}
