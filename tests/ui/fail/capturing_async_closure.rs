use wasabi::prelude::*;

fn gateway(greeting: String) -> Gateway {
    gateway!(channel("/", async |name: Text| format!("{greeting}, {name}")))
}

fn main() {
    drop(gateway("hello".to_owned()));
}
