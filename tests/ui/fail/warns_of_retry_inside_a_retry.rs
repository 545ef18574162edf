#![deny(deprecated)]

use wasabi::{Error, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            middleware = [Retry::new(Backoff::constant(1s))],
            match key {
                "multiplied" => with([Retry::new(Backoff::constant(1s))], echo),
                "chosen" => with(
                    [Retry::new(Backoff::constant(1s)).when(|error: &Error| error.code() == "busy")],
                    echo
                ),
                _ => echo,
            }
        ),
    );
}
