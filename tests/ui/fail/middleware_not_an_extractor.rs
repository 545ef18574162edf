use wasabi::prelude::*;

#[middleware]
async fn limit(#[extract] most: usize, req: Request, next: impl Next) -> Result<Reply> {
    assert!(req.payload().len() < most);
    next.run(req).await
}

fn main() {
    let _ = gateway!(channel("/", middleware = [limit], async |text: Text| text));
}
