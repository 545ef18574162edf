use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", concurrency = 0, ping = 0s, max_message_size = 0KiB, echo),
    );
}
