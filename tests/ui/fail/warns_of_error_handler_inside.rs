#![deny(deprecated)]

use wasabi::{Error, middleware::request::ErrorHandler, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/hides",
            match key {
                "cache" =>
                    with([Cache::new(1s), ErrorHandler::new(|_: &Request, _: Error| "sorry")], echo),
                "breaker" => with(
                    [
                        CircuitBreaker::new(5, 10s),
                        ErrorHandler::new(|_: &Request, error: Error| format!("sorry: {error}"))
                    ],
                    echo
                ),
                _ => with(
                    [
                        Retry::new(Backoff::constant(1s)),
                        ErrorHandler::new(|_: &Request, _: Error| {
                            let sorry = "sorry";
                            Ok::<_, Error>(sorry)
                        })
                    ],
                    echo
                ),
            },
        ),
        channel(
            "/chooses",
            with(
                [
                    Retry::new(Backoff::constant(1s)),
                    ErrorHandler::new(|_: &Request, error: Error| match error {
                        Error::Overloaded => Ok("sorry"),
                        error => Err(error),
                    })
                ],
                echo
            ),
        ),
    );
}
