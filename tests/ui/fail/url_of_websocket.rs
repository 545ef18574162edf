use wasabi::prelude::*;

struct WebSocket;

impl WebSocket {
    fn connect(_url: &str) -> NoRoute {
        NoRoute
    }
}

fn main() {
    let _ = gateway!(
        channel("/", WebSocket::connect("http://localhost:9000/")),
    );
}
