use wasabi::prelude::*;

struct Prices;

async fn quote(State(_prices): State<Prices>, text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(
        state = Prices,
        channel("/", quote),
    );
}
