use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

#[middleware]
async fn auth(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

fn main() {
    let _ = gateway!(channel(
        "/",
        routes = [with([auth], match key { "a" => echo, "b" => echo })],
        match key {
            "b" => echo,
            _ => with([auth], match key { "a" => echo, _ => NoRoute }),
        },
    ));
}
