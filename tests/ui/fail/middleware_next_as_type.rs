use wasabi::prelude::*;

#[middleware]
async fn audit(req: Request, next: Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(channel("/", middleware = [audit], async |text: Text| text));
}
