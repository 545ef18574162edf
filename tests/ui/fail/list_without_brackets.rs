use wasabi::prelude::*;

#[middleware]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", middleware = audit, echo),
    );
}
