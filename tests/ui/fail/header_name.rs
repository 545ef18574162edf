use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", Http::post("http://localhost/").header("x trace", "1")),
    );
}
