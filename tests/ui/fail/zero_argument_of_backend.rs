use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", WebSocket::connect("ws://localhost/").connect_timeout(0s)),
        channel("/queue", Queue::new(wasabi::queue::Memory::new(), "jobs").max_pending(0)),
    );
}
