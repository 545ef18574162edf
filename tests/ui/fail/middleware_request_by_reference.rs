use wasabi::prelude::*;

#[middleware]
async fn audit(req: &Request, next: impl Next) -> Result<Reply> {
    next.run(req.clone()).await
}

fn main() {
    let _ = gateway!(channel("/", middleware = [audit], async |text: Text| text));
}
