#![deny(deprecated)]

use wasabi::prelude::*;

#[derive(Clone)]
struct BasicAuth;

impl BasicAuth {
    fn new() -> Self {
        Self
    }
}

impl<S> tower::Layer<S> for BasicAuth {
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
        channel("/", origins = ["*"], http = [BasicAuth::new()], echo),
    );
}
