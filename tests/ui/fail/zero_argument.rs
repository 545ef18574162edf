use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        middleware = [Throttle::new(0), RateLimit::per_second(0)],
        channel("/", with([Timeout::new(0s), Retry::exponential(0, 100ms)], echo)),
        channel("/http", Http::post("http://localhost/").timeout(0s)),
    );
}
