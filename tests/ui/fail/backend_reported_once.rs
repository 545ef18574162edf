use serde::Deserialize;
use wasabi::prelude::*;

#[derive(Deserialize)]
struct Order<'a> {
    item: &'a str,
}

struct Receipt;

#[backend]
async fn borrows(Json(order): Json<Order<'_>>) -> String {
    order.item.to_owned()
}

#[backend]
fn sync(text: Text) -> Text {
    text
}

#[backend]
async fn no_extractor(number: u32) -> String {
    number.to_string()
}

#[backend]
async fn no_reply() -> Receipt {
    Receipt
}

fn main() {
    let _ = gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        match key {
            "borrows" => borrows,
            "sync" => sync,
            "no_extractor" => no_extractor,
            "no_reply" => no_reply,
            _ => NoRoute,
        },
    ));
}
