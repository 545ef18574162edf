//! Three HTTP services share the messages by weight. A failing one is left out for a while.
//!
//! Run `cargo run --example load_balance`. An optional argument is the address to listen on.

use axum::{Router, http::StatusCode, routing::post};
use wasabi::prelude::*;

/// Starts a service that answers with this status and its name.
async fn service(name: &'static str, status: StatusCode) -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().route("/", post(async move || (status, name)));
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}

/// The gateway, in front of the services at these URLs.
pub(crate) fn gateway(big: &str, small: &str, broken: &str) -> Gateway {
    gateway!(channel(
        "/",
        // A failed try is repeated on another node.
        middleware = [Retry::new(Backoff::constant(10ms).retries(2))],
        balance([
            (3, Http::post(big)),
            (1, Http::post(small)),
            (1, Http::post(broken)),
        ]),
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let big = service("big", StatusCode::OK).await?;
    let small = service("small", StatusCode::OK).await?;
    let broken = service("broken", StatusCode::BAD_GATEWAY).await?;

    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}");
        println!("try it: npx wscat -c ws://{addr}/, then press return a few times");
    });
    server.serve(gateway(&big, &small, &broken)).await?;
    Ok(())
}
