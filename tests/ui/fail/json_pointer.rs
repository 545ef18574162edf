use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            parser = JsonKey::at("$.action").id("req_id"),
            WebSocket::connect("ws://localhost/").correlate("/req~id"),
        ),
    );
}
