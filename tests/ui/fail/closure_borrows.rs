use wasabi::{HttpRequest, prelude::*};

struct Config {
    url: String,
}

async fn echo(text: Text) -> Text {
    text
}

fn http(config: &Config) -> Gateway {
    gateway!(
        channel("/", Http::with(|_| Ok(HttpRequest::get(&config.url)))),
        channel("/echo", echo),
    )
}

fn limit(config: &Config) -> Gateway {
    gateway!(
        channel("/", middleware = [Throttle::new(1).by(|_| config.url.len())], echo),
        channel("/echo", echo),
    )
}

fn reference(config: &Config) -> Gateway {
    gateway!(
        channel("/", async |_: Text| config.url.clone()),
        channel("/echo", echo),
    )
}

fn local() -> Gateway {
    let name = String::from("name");
    gateway!(
        channel(
            "/",
            match key {
                "http" => Http::with(|_| Ok(HttpRequest::get(&name))),
                "async" => async |_: Text| name.clone(),
                "block" => |_: Text| async { name.clone() },
                _ => NoRoute,
            },
        ),
    )
}

fn main() {
    let config = Config { url: String::new() };
    drop([http(&config), limit(&config), reference(&config), local()]);
}
