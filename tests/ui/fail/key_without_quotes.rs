use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            match key {
                "order" | quote => echo,
                ticks | trades if key.len() < 9 => echo,
                _ => NoRoute,
            },
        ),
    );
}
