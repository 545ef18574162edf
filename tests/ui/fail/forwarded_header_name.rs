use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", Http::post("http://localhost/").forward_headers(["x-id", "x:id"])),
    );
}
