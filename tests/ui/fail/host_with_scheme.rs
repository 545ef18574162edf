use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        hosts = "api.example.com",
        channel("/", hosts = ["https://api.example.com/"], echo),
    );
}
