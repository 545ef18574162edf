use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", Http::post("ws://localhost:8080/orders")),
    );
}
