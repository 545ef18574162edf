use wasabi::{Kept, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(channel(
        "/",
        groups = [Kept::prefix("").size(0).ttl(500ms)],
        echo
    ));
}
