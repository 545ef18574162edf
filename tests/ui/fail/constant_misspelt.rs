use wasabi::prelude::*;

const PLACE: &str = "orders.place";

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(channel("/", match key {
        PLACEE => echo,
        "cancel" | CANCEL => echo,
        PLACE => echo,
        _ => NoRoute,
    }));
}
