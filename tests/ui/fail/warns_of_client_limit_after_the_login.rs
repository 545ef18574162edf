#![deny(deprecated)]

use wasabi::{middleware::http::HttpMiddleware, prelude::*};

struct Jwt;

impl Jwt {
    fn hs256(_secret: &str) -> impl HttpMiddleware {
        BearerAuth::new(verify)
    }
}

async fn verify(_token: String) -> Option<Identity<String>> {
    None
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        channel(
            "/password",
            http = [BasicAuth::users([("a", "b")]), LimitClients::new().connections(10)],
            echo,
        ),
        channel(
            "/token",
            http = [BearerAuth::new(verify), LimitClients::new().connections(10)],
            echo,
        ),
        channel(
            "/jwt",
            http = [Jwt::hs256("secret"), LimitClients::new().connections(10)],
            echo,
        ),
        channel(
            "/before",
            http = [LimitClients::new().connections(10), BearerAuth::new(verify)],
            echo,
        ),
    );
}
