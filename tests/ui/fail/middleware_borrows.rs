use serde::Deserialize;
use wasabi::prelude::*;

#[derive(Deserialize)]
struct Order<'a> {
    item: &'a str,
}

#[middleware]
async fn checked(Json(order): Json<Order<'_>>, req: Request, next: impl Next) -> Result<Reply> {
    assert!(!order.item.is_empty());
    next.run(req).await
}

fn main() {
    let _ = gateway!(channel("/", middleware = [checked], async |text: Text| text));
}
