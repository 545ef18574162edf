//! Every message becomes an HTTP request, and the answer the reply.
//!
//! `cargo run --example http_backend -- http://127.0.0.1:8081/`, then connect to `ws://127.0.0.1:8080/`.

use wasabi::prelude::*;

/// What one message asks of the service behind.
fn forward(url: &str) -> impl Fn(&Request) -> Result<HttpRequest> + use<> {
    let url = url.to_owned();
    move |req| Ok(HttpRequest::get(&url).body(req.payload()))
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let upstream = std::env::args().nth(1);
    let upstream = upstream.as_deref().unwrap_or("http://127.0.0.1:8081/");
    let gateway = gateway!(channel("/", Http::with(forward(upstream))));
    Server::bind("127.0.0.1:8080").serve(gateway).await
}
