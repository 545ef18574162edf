use wasabi::{Close, CloseCode, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            on_connect = async |_: Connection| Err::<(), _>(Close::new(CloseCode::new::<1006>(), "no")),
            echo,
        ),
    );
}
