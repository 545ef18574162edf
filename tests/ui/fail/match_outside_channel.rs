use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        match key {
            _ => echo,
        },
    );
}
