use wasabi::prelude::*;

async fn greet(State(_registry): State<Registry>) {}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        state = 5_u8,
        channel("/", on_connect = greet, echo),
    );
}
