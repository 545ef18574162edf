use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", concurrency = 2s, max_message_size = 2s, ping = 20KiB, echo),
    );
}
