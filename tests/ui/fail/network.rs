use wasabi::prelude::*;

#[derive(Clone)]
struct ClientIp;

impl ClientIp {
    fn trusting(_networks: [&str; 1]) -> Self {
        Self
    }
}

impl<S> tower::Layer<S> for ClientIp {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/", http = [ClientIp::trusting(["10.0.0.0/33"])], echo),
    );
}
