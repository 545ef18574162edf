use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", cluster = wasabi::Cluster::memory(), echo),
    );
}
