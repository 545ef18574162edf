#![deny(deprecated)]

use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/long", with([Timeout::new(2s), Throttle::new(10).wait(5s)], echo)),
        channel("/default", with([Timeout::new(500ms), Throttle::new(10)], echo)),
        channel("/short", with([Timeout::new(2s), Throttle::new(10)], echo)),
    );
}
