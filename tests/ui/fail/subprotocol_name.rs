use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", subprotocols = ["v1", "two words", ""], echo),
    );
}
