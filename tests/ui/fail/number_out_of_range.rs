use wasabi::prelude::*;

async fn echo(text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            middleware = [Retry::new(Backoff::constant(1s)).budget(-0.1)],
            echo,
        ),
    );
}
