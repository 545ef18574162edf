use wasabi::prelude::*;

#[derive(Clone)]
struct App;

#[derive(Clone)]
struct Other;

async fn echo(message: Message) -> Message {
    message
}

fn routes() -> impl Routes<Other> {
    routes!(Other, match key { "order" => echo })
}

fn main() {
    let _ = gateway!(state = App, channel("/", routes = [routes()], NoRoute));
}
