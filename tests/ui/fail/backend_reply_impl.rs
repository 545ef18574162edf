use wasabi::prelude::*;

#[backend]
async fn count(text: Text) -> impl std::fmt::Display {
    text.len()
}

fn main() {}
