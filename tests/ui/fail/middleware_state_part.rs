use wasabi::prelude::*;

#[derive(Clone)]
struct App;

#[middleware(state = App)]
async fn limit(State(most): State<usize>, req: Request, next: impl Next) -> Result<Reply> {
    assert!(req.payload().len() < most);
    next.run(req).await
}

fn main() {
    let _ = gateway!(
        state = App,
        channel("/", middleware = [limit], async |text: Text| text),
    );
}
