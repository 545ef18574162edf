use wasabi::prelude::*;

#[backend]
async fn count(text: Text, number: u32) -> String {
    format!("{text}{number}")
}

fn main() {}
