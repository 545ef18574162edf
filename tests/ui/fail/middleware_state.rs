use wasabi::prelude::*;

#[derive(Clone)]
struct Users;

#[middleware]
async fn known(State(_users): State<Users>, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

#[middleware]
async fn require(
    _role: u8,
    State(_users): State<Users>,
    req: Request,
    next: impl Next,
) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel("/", middleware = [known, require(1)], async |text: Text| text),
    );
}
