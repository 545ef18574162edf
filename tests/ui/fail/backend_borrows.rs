use wasabi::prelude::*;

#[derive(serde::Deserialize)]
struct Order<'a> {
    item: &'a str,
}

#[backend]
async fn place(Json(order): Json<Order<'_>>) -> String {
    order.item.to_owned()
}

fn main() {}
