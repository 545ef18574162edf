use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            match key {
                order => echo,
                "quote" => echo,
                _ => NoRoute,
            },
        ),
    );
}
