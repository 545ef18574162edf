use std::rc::Rc;

use serde::Deserialize;
use wasabi::prelude::*;

#[derive(Deserialize)]
struct Order<'a> {
    item: &'a str,
}

struct Receipt;

struct SoldOut;

#[backend]
async fn borrows(Json(order): Json<Order<'_>>) -> String {
    order.item.to_owned()
}

#[backend]
async fn reference(text: &str) -> String {
    text.to_owned()
}

#[backend]
fn sync(text: Text) -> Text {
    text
}

type N = Key;

#[backend]
#[expect(clippy::too_many_arguments)]
async fn many(_: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N) {}

#[backend]
async fn number(number: u32) -> String {
    number.to_string()
}

#[backend]
async fn unread(Json(_): Json<Receipt>) {}

#[backend]
async fn unwritten() -> Json<Receipt> {
    Json(Receipt)
}

#[backend]
async fn fails(_item: Text) -> Result<Text, SoldOut> {
    Err(SoldOut)
}

#[backend]
async fn stays(text: Text) -> String {
    let text = Rc::new(text);
    std::future::ready(()).await;
    text.to_string()
}

#[backend]
async fn both(_number: u32, State(_limit): State<usize>) -> u32 {
    1
}

fn main() {
    let _ = gateway!(
        state = 100usize,
        channel(
            "/",
            parser = JsonKey::at("/do"),
            match key {
                "borrows" => borrows,
                "reference" => reference,
                "sync" => sync,
                "many" => many,
                "number" => number,
                "unread" => unread,
                "unwritten" => unwritten,
                "fails" => fails,
                "stays" => stays,
                _ => both,
            },
        )
    );
}
