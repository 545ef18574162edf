//! Every message becomes an HTTP request, and its response the reply: the example from the Go package's README.
//!
//! Run `cargo run --example http_backend`, with an HTTP service at `http://localhost:8081/` or at the URL given as an
//! argument (`python3 -m http.server 8081` is such a service). Then run `npx wscat -c ws://127.0.0.1:8080/`.

use wasabi::{Error, prelude::*};

/// The gateway, in front of the service at this URL.
pub(crate) fn gateway(url: String) -> Gateway {
    // Makes the HTTP request from a message.
    let backend = Http::with(move |req| Ok(HttpRequest::get(&url).body(req.payload())));

    // Makes the answer to a failed request.
    let errors = ErrorHandler::new(|_: &Request, error: Error| {
        format!("Failed to process request: {}", error.client_message())
    });

    gateway!(channel(
        "/",
        middleware = [errors, Throttle::new(10)],
        backend
    ))
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "http://localhost:8081/".to_owned());

    println!("every message to ws://127.0.0.1:8080/ becomes a GET of {url}");
    Server::bind("127.0.0.1:8080").serve(gateway(url)).await
}
