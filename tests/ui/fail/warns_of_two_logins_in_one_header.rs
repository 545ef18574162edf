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
        http = [BasicAuth::users([("a", "b")])],
        channel("/token", http = [BearerAuth::new(verify)], echo),
        channel("/jwt", http = [Jwt::hs256("secret")], echo),
        channel("/query", http = [BearerAuth::new(verify).query_parameter("token")], echo),
    );
    let _ = gateway!(
        channel("/token", http = [BearerAuth::new(verify), BasicAuth::users([("a", "b")])], echo),
        channel("/jwt", http = [Jwt::hs256("secret"), BasicAuth::users([("a", "b")])], echo),
    );
}
