#![deny(deprecated)]

use std::time::Duration;

use wasabi::prelude::*;

const LIMIT: Duration = Duration::from_secs(1);

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let has_a_timeout = Http::post("http://e/").timeout(Duration::from_secs(5));
    let _ = gateway!(
        channel(
            "/never_opens",
            middleware = [Timeout::new(2s)],
            match key {
                "a" => with([CircuitBreaker::new(5, 10s)], async || "a"),
                "b" => with([CircuitBreaker::new(5, 10s)], Http::post("http://b/")),
                "c" => with([CircuitBreaker::new(5, 10s), Timeout::new(2s)], Http::post("http://c/")),
                _ => echo,
            },
        ),
        channel(
            "/once",
            with(
                [Timeout::new(LIMIT), CircuitBreaker::new(5, 10s)],
                match key {
                    "a" => echo,
                    _ => echo,
                },
            ),
        ),
        channel(
            "/opens",
            middleware = [Timeout::new(1min)],
            match key {
                "a" => with([CircuitBreaker::new(5, 10s), Timeout::new(2s)], echo),
                "b" => with([CircuitBreaker::new(5, 10s), Timeout::new(LIMIT)], echo),
                "c" => with([CircuitBreaker::new(5, 10s)], Http::post("http://c/")),
                "d" => with([CircuitBreaker::new(5, 10s)], Http::post("http://d/").timeout(5s)),
                "e" => with([CircuitBreaker::new(5, 10s)], has_a_timeout),
                _ => with([Retry::new(Backoff::constant(1s)), CircuitBreaker::new(5, 10s), Timeout::new(1s)], echo),
            },
        ),
    );
}
