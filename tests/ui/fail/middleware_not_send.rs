use wasabi::prelude::*;

#[middleware]
async fn audit(req: Request, next: impl Next) -> Result<Reply> {
    let counter = std::rc::Rc::new(1);
    let reply = next.run(req).await;
    drop(counter);
    reply
}

fn main() {}
