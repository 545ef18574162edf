use wasabi::{Close, prelude::*};

async fn farewell(_close: Close, Json(_last): Json<String>) {}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", on_disconnect = farewell, echo),
    );
}
