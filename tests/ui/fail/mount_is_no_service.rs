use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        mount("/docs", "docs"),
    );
}
