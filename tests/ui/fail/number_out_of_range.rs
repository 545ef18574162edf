use wasabi::prelude::*;

async fn echo(text: Text) -> Text {
    text
}

fn main() {
    let _ = gateway!(
        channel(
            "/",
            middleware = [
                Retry::new(Backoff::constant(1s)).budget(-0.1),
                CircuitBreaker::new(10, 5s).out_of(1_000_001),
            ],
            echo,
        ),
    );
}
