use wasabi::prelude::*;

struct Order;

#[backend]
async fn place(Json(order): Json<Order>) -> Json<Order> {
    Json(order)
}

fn main() {}
