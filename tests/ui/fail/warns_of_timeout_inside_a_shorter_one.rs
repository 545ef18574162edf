#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        middleware = [Timeout::new(5s)],
        channel(
            "/",
            match key {
                "slow" => with([Timeout::new(1min)], echo),
                "fast" => with([Timeout::new(1s)], echo),
                _ => echo,
            }
        ),
    );
}
