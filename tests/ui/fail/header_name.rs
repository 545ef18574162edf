use wasabi::prelude::*;

struct Upstream;

impl Upstream {
    fn header(self, _name: &str, _value: &str) -> NoRoute {
        NoRoute
    }
}

fn main() {
    let _ = gateway!(
        channel("/", Upstream.header("x trace", "1")),
    );
}
