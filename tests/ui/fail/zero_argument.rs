use wasabi::prelude::*;

struct Throttle;

impl Throttle {
    fn new(_messages: u32) -> Self {
        Self
    }
}

impl Middleware for Throttle {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        next.run(req).await
    }
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", middleware = [Throttle::new(0)], echo),
    );
}
