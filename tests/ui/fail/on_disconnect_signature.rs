use wasabi::prelude::*;

async fn farewell(_connection: Connection, _name: String) {}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", on_disconnect = farewell, echo),
    );
}
