use wasabi::{Cluster, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        cluster = Cluster::memory().name(""),
        channel("/", echo),
    );
}
