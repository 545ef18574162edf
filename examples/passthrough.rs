//! Every client has a connection of its own to the WebSocket server behind: what either side sends goes to the
//! other unchanged.
//!
//! `cargo run --example passthrough`; an address as argument is where to listen.

use wasabi::prelude::*;

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    // The server behind: it greets with the name that it was given, and shouts back.
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

    let gateway = gateway!(channel(
        "/",
        max_message_size = 1MiB,
        ping = 20s,
        WebSocket::connect(url).forward_query(["name"]).eager(),
    ));
    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}");
        println!("try it: npx wscat -c 'ws://{addr}/?name=you'");
    });
    server.serve(gateway).await
}
