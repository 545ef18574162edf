//! Browser logins: with the first message before a deadline, or in a cookie, a subprotocol or the query.
//!
//! Run `cargo run --example login`. An optional argument is the address to listen on.

use std::time::{Duration, SystemTime};

use axum::response::Html;
use wasabi::{Close, Error, prelude::*};

/// How long a client may stay without logging in.
const DEADLINE: Duration = Duration::from_secs(5);

/// Valid tokens look like `alice.token`. A real token would be signed: see `Jwt`.
async fn verify(token: String) -> Option<Identity<String>> {
    let user = token.strip_suffix(".token")?;
    Some(Identity::new(user.to_owned()).expires_in(Duration::from_secs(3600)))
}

/// Takes the token from a message such as `{"action":"login","token":"alice.token"}`.
fn token(req: &Request) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Login {
        token: String,
    }
    match serde_json::from_slice::<Login>(req.message().as_bytes()) {
        Ok(login) => Ok(login.token),
        Err(error) => Err(Error::bad_request(error.to_string())),
    }
}

/// Gives a client without a token some seconds to log in; after that the connection is closed with 4401.
async fn deadline(connection: Connection) -> Result<(), Close> {
    if connection.identity::<String>().is_none() {
        connection.expire_at(SystemTime::now() + DEADLINE);
    }
    Ok(())
}

async fn whoami(user: Identity<String>) -> String {
    format!(r#"{{"user":"{}"}}"#, *user)
}

/// The gateway.
pub(crate) fn gateway() -> Gateway {
    let auth = BearerAuth::new(verify)
        .cookie("session")
        .subprotocol()
        .query_parameter("token")
        .refuse_by_close();
    let by_message = auth.clone().optional();
    let login = by_message
        .refresh(token)
        .reply(|_, user| format!(r#"{{"welcome":"{}"}}"#, **user));
    gateway!(
        get("/", async || Html(include_str!("login/page.html"))),
        // This channel requires a token in the handshake.
        channel("/strict", http = [auth], subprotocols = ["whoami"], whoami),
        channel(
            "/ws",
            http = [by_message],
            parser = JsonKey::at("/action"),
            on_connect = deadline,
            match key {
                "login" => login,
                _ => whoami,
            },
        ),
    )
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr} and http://{addr}/ with a page to log in");
        println!("log in by hand: npx wscat -c ws://{addr}/ws, then");
        println!(r#"  {{"action":"login","token":"alice.token"}}"#);
        println!(r#"  {{"action":"who"}}"#);
    });
    server.serve(gateway()).await
}
