use wasabi::prelude::*;

struct Order;

#[middleware]
async fn checked(Json(_order): Json<Order>, req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(channel("/", middleware = [checked], async |text: Text| text));
}
