use wasabi::prelude::*;

use std::rc::Rc;

async fn quote(State(_prices): State<Rc<u32>>, text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(
        state = Rc::new(3),
        channel("/", quote),
    );
}
