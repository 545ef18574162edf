#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        http = [LimitClients::new().connections(10)],
        channel("/proxy", http = [ClientIp::trusting(["10.0.0.0/8"])], echo),
        channel("/direct", http = [ClientIp::peer()], echo),
    );
}
