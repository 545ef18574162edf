use wasabi::{Method, prelude::*};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let _ = gateway!(
        channel("/", Http::method(Method::from_bytes(b"POTS")?, "http://localhost/orders")),
    );
    Ok(())
}
