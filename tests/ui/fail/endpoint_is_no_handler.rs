use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        get("/livez", 42),
    );
}
