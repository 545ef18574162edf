use wasabi::prelude::*;

#[middleware]
async fn audit(next: impl Next, req: Request) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
