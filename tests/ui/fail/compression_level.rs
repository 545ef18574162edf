use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", compression = Compression::deflate().level(0).context_takeover(16), echo),
    );
}
