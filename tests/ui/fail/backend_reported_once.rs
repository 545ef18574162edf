use serde::Deserialize;
use wasabi::prelude::*;

#[derive(Deserialize)]
struct Order<'a> {
    item: &'a str,
}

#[backend]
async fn borrows(Json(order): Json<Order<'_>>) -> String {
    order.item.to_owned()
}

#[backend]
fn sync(text: Text) -> Text {
    text
}

type N = Key;

#[backend]
#[expect(clippy::too_many_arguments)]
async fn many(_: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N) {}

fn main() {
    let _ = gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        match key {
            "borrows" => borrows,
            "sync" => sync,
            "many" => many,
            _ => NoRoute,
        },
    ));
}
