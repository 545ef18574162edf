use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/v1/{tenant}", Http::get("http://{tenant}.orders:8080/{*rest}")),
    );
}
