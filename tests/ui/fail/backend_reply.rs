use wasabi::prelude::*;

#[backend]
async fn count(text: Text) -> usize {
    text.len()
}

fn main() {}
