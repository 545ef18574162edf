use wasabi::prelude::*;

fn greet(_connection: Connection) {}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", on_connect = greet, echo),
    );
}
