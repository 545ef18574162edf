use wasabi::prelude::*;

async fn count(text: Text) -> usize {
    text.len()
}

fn main() {
    let _ = gateway!(
        channel("/", count),
    );
}
