use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        get("/livez", || async { "ok" }),
        post("/livez", || async { "ok" }),
        get("/livez", || async { "yes" }),
    );
}
