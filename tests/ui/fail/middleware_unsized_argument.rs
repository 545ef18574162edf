use wasabi::prelude::*;

#[middleware]
async fn require(role: &str, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
