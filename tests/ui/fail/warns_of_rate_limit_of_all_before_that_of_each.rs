#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/wrong",
            middleware = [RateLimit::per_second(1000), RateLimit::per_second(10).by(|req| req.connection().id())],
            echo,
        ),
        channel(
            "/clients",
            middleware = [RateLimit::per_second(1000), LimitClients::new().messages_per_second(10)],
            echo,
        ),
        channel(
            "/right",
            middleware = [RateLimit::per_second(10).by(|req| req.connection().id()), RateLimit::per_second(1000)],
            echo,
        ),
        channel(
            "/of_a_route",
            middleware = [RateLimit::per_second(1000)],
            with([RateLimit::per_second(10).by(|req| req.connection().id())], echo),
        ),
    );
}
