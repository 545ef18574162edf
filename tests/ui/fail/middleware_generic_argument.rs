use wasabi::prelude::*;

#[middleware]
async fn require<R: PartialEq>(role: R, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
