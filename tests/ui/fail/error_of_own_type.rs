use wasabi::prelude::*;

struct SoldOut;

#[backend]
async fn order(_item: Text) -> Result<Text, SoldOut> {
    Err(SoldOut)
}

fn main() {
    let _ = gateway!(channel("/", async |_item: Text| Err::<Text, _>(SoldOut)));
    let _ = gateway!(channel("/", order));
}
