use wasabi::prelude::*;

async fn greet(_connection: Connection) -> bool {
    true
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", on_connect = greet, echo),
    );
}
