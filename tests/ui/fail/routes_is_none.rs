use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(channel("/", routes = [echo, balance([(1, echo), (1, echo)])], NoRoute));
}
