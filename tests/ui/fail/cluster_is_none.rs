use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        cluster = "nats://127.0.0.1:4222",
        channel("/", echo),
    );
}
