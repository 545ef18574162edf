use wasabi::prelude::*;

fn livez() -> &'static str {
    "ok"
}

async fn count(number: u32) -> String {
    number.to_string()
}

async fn status() -> usize {
    200
}

fn main() {
    let _ = gateway!(
        get("/livez", livez),
        get("/readyz", || "ok"),
        post("/count", count),
        any("/status", status),
    );
}
