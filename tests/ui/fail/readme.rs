use wasabi::prelude::*;

async fn place_order(text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(channel(
        "/",
        parser = JsonKey::at("/action"),
        match key {
            "order.place" => with([Timeout::new(2sec)], place_order),
            "quote" | "order.place" => Http::post("ws://quotes:8080/"),
        },
    ));
}
