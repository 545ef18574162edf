use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        middleware = [CircuitBreaker::new(0, 1s), RateLimit::per_second(1).max_keys(0)],
        channel("/", with([Timeout::new(0s), Retry::new(Backoff::exponential(0ms).retries(1))], echo)),
        channel("/http", Http::post("http://localhost/").timeout(0s)),
    );
}
