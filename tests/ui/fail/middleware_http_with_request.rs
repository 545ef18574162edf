use wasabi::prelude::*;

#[middleware(http)]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
