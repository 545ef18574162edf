use wasabi::prelude::*;

#[middleware]
async fn audit(req: Request, next: impl Next) -> bool {
    next.run(req).await.is_ok()
}

fn main() {}
