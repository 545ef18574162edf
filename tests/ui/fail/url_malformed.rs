use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", Http::post("http://local host/orders")),
    );
}
