#![deny(deprecated)]

use std::time::Duration;

use wasabi::{Message, Middleware, Next, Reply, Request, Result, gateway};

struct Cache;

impl Cache {
    fn new(_ttl: Duration) -> Self {
        Self
    }
}

impl Middleware for Cache {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
}

struct RateLimit;

impl RateLimit {
    fn per_second(_messages: u32) -> Self {
        Self
    }
}

impl Middleware for RateLimit {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", middleware = [Cache::new(5s), RateLimit::per_second(10)], echo),
    );
}
