use wasabi::prelude::*;

async fn place() -> &'static str {
    "placed"
}

fn main() {
    let _ = gateway!(channel("/", match key { "place" => place(), _ => NoRoute }));
}
