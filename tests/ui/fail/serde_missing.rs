use wasabi::prelude::*;

struct Order;

struct Receipt;

async fn place(Json(_order): Json<Order>) -> &'static str {
    "placed"
}

async fn find(Query(_order): Query<Order>) -> &'static str {
    "found"
}

async fn open(Path(_order): Path<Order>) -> &'static str {
    "opened"
}

async fn cancel(Params(_order): Params<Order>) -> &'static str {
    "cancelled"
}

async fn receipt() -> Json<Receipt> {
    Json(Receipt)
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            match key {
                "place" => place,
                "find" => find,
                "open" => open,
                "cancel" => cancel,
                _ => receipt,
            },
        ),
    );
}
