use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let orders = NoRoute;
    let _ = gateway!(
        channel(
            "/",
            match key {
                "order" => orders.,
                _ => echo,
            },
        ),
    );
}
