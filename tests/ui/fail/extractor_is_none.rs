use wasabi::prelude::*;

async fn count(number: u32) -> String {
    number.to_string()
}

fn main() {
    let _ = gateway!(
        channel("/", count),
    );
}
