use wasabi::prelude::*;

fn shout(text: Text) -> String {
    text.to_uppercase()
}

fn main() {
    let _ = gateway!(
        channel("/", shout),
    );
}
