use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", match key {
            "a" => echo
            "b" if key.is_empty() => NoRoute
            _ => NoRoute,
        }),
    );
}
