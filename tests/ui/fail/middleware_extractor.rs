use wasabi::prelude::*;

#[middleware]
async fn limit(State(most): State<usize>, req: Request, next: impl Next) -> Result<Reply> {
    assert!(req.payload().len() < most);
    next.run(req).await
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel("/", middleware = [limit], async |text: Text| text),
    );
}
