use wasabi::prelude::*;

#[derive(Clone)]
struct Counter;

async fn count(State(_counter): State<Counter>) -> &'static str {
    "1"
}

fn main() {
    let _ = gateway!(
        channel("/", count),
    );
}
