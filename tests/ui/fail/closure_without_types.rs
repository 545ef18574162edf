use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/", async |text, _| text),
    );
}
