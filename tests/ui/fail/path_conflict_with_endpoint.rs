use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        get("/livez", || async { "ok" }),
        channel("/livez", echo),
    );
}
