#![deny(deprecated)]

use wasabi::prelude::*;

async fn verify(_token: String) -> Option<Identity<String>> {
    None
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel("/own", http = [BearerAuth::new(verify).cookie("session")], echo),
        channel("/any", origins = ["*"], http = [BearerAuth::new(verify)], echo),
        channel("/bad", origins = ["*"], http = [BearerAuth::new(verify).cookie("session")], echo),
    );
}
