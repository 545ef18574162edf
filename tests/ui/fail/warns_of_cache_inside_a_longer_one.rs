#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            middleware = [Cache::new(1min)],
            match key {
                "quote" => with([Cache::new(1s)], echo),
                "report" => with([Cache::new(1h)], echo),
                _ => echo,
            }
        ),
    );
}
