use wasabi::prelude::*;

async fn echo(message: Message) -> Message {
    message
}

fn routes() -> impl Routes {
    routes!(match key {
        "order" => echo,
        _ => NoRoute,
    })
}

fn main() {
    let _ = gateway!(channel("/", routes = [routes(), match key { quote => echo }], NoRoute));
}
