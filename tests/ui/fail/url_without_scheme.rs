use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", Http::post("localhost:8080/orders")),
    );
}
