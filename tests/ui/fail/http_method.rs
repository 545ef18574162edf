use wasabi::prelude::*;

struct Http;

impl Http {
    fn post(_url: &str) -> NoRoute {
        NoRoute
    }

    fn method(_method: &str, _url: &str) -> NoRoute {
        NoRoute
    }
}

fn main() {
    let _ = gateway!(
        channel("/", Http::method("POTS", "http://localhost/orders")),
    );
}
