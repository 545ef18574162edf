use wasabi::prelude::*;

struct Role;

#[middleware]
async fn require(_role: Role, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {}
