//! Every client gets its own connection to the WebSocket server behind the gateway. Messages pass unchanged in both
//! directions.
//!
//! Run `cargo run --example passthrough`. An optional argument is the address to listen on.

use wasabi::prelude::*;

/// The gateway, in front of the WebSocket server at this URL.
pub(crate) fn gateway(upstream: &str) -> Gateway {
    gateway!(channel(
        "/",
        max_message_size = 1MiB,
        ping = 20s,
        WebSocket::connect(upstream).forward_query(["name"]).eager(),
    ))
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    // The server behind the gateway greets with the given name, and answers in upper case.
    let upstream = Server::bind("127.0.0.1:0").signals(false);
    let handle = upstream.handle();
    tokio::spawn(upstream.serve(gateway!(channel(
        "/shout",
        on_connect = async |connection: Connection| {
            let query = connection.uri().query().unwrap_or("nobody").to_owned();
            let _ = connection.send(format!("hello, {query}")).await;
        },
        async |text: Text| text.to_uppercase(),
    ))));
    let url = format!("ws://{}/shout", handle.addr().await);

    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}");
        println!("try it: npx wscat -c 'ws://{addr}/?name=you'");
    });
    server.serve(gateway(&url)).await
}
