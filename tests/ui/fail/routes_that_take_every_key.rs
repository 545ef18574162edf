use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn routes() -> impl Routes {
    routes!(match key.strip_prefix("orders.") {
        Some(_) => echo,
        None => NoRoute,
    })
}

fn main() {
    let _ = gateway!(channel("/", routes = [routes()], NoRoute));
}
