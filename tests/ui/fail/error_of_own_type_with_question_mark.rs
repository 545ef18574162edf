use wasabi::prelude::*;

struct SoldOut;

fn stock() -> Result<Text, SoldOut> {
    Err(SoldOut)
}

#[backend]
async fn order(_item: Text) -> Result<Text> {
    Ok(stock()?)
}

fn main() {
    let _ = gateway!(channel("/", order));
}
