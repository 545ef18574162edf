use wasabi::prelude::*;

#[middleware(https)]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
