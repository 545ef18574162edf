use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

#[middleware]
async fn auth(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    drop(routes!());
    drop(routes!((), with([auth], echo)));
    drop(routes!(state = (), match key { "a" => echo }));
    drop(routes!((), ping = 20s, midleware = [auth], match key { "a" => echo }));
    let _ = gateway!(routes = [echo], channel("/", echo));
}
