use wasabi::prelude::*;

#[derive(Clone)]
struct App;

#[middleware(state = App)]
async fn known(State(_app): State<App>, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel("/", middleware = [known], async |text: Text| text),
    );
}
