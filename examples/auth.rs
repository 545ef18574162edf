//! Authentication: users with passwords on one channel, short-lived tokens on another.
//!
//! Run `cargo run --example auth`. An optional argument is the address to listen on.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use wasabi::prelude::*;

/// The issued tokens, with their user and expiry. A real token would be signed, or stored in a database.
#[derive(Clone, Default)]
struct Tokens {
    given: Arc<Mutex<HashMap<String, (String, SystemTime)>>>,
    count: Arc<AtomicU64>,
}

/// How long a token is valid.
const GOOD_FOR: Duration = Duration::from_secs(30);

impl Tokens {
    fn give(&self, user: &str) -> String {
        // Enough for an example; a token that protects something must be random.
        let token = format!("token-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let expiry = SystemTime::now() + GOOD_FOR;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, (_, expiry)| *expiry > SystemTime::now());
        given.insert(token.clone(), (user.to_owned(), expiry));
        token
    }

    async fn verify(self, token: String) -> Option<Identity<String>> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, expiry) = given.get(&token)?.clone();
        (expiry > SystemTime::now()).then(|| Identity::new(user).expires_at(expiry))
    }
}

/// Gives a user who logged in with a password a token for the other channel.
async fn token(State(tokens): State<Tokens>, user: Identity<String>) -> String {
    tokens.give(&user)
}

/// Takes the token from a message such as `refresh token-1`.
fn new_token(req: &Request) -> Result<String> {
    let text = req.message().as_text().unwrap_or_default();
    Ok(text.trim_start_matches("refresh ").to_owned())
}

/// Uses the first word of a message as its key.
fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    let word = text.split(' ').next().unwrap_or_default();
    Ok(Some(Envelope::new(word)))
}

/// The gateway.
pub(crate) fn gateway() -> Gateway {
    let tokens = Tokens::default();
    let users = BasicAuth::users([("alice", "wonderland"), ("bob", "builder")]);
    let verify = {
        let tokens = tokens.clone();
        move |token| tokens.clone().verify(token)
    };
    let auth = BearerAuth::new(verify).query_parameter("token");
    // A client that sends a new token in time may stay.
    let refresh = auth
        .refresh(new_token)
        .same(|old, new| old == new)
        .reply(|_, _| "you may stay");
    gateway!(
        state = tokens,
        // Takes `alice:wonderland` from the header `Authorization` and answers any message with a token.
        channel("/login", http = [users], token),
        // Takes the token from the header or, because browsers cannot set it, from the query.
        channel(
            "/",
            http = [auth],
            parser = first_word,
            match key {
                "refresh" => refresh,
                _ => async |user: Identity<String>| format!("hello, {}", *user),
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
        println!("listening on ws://{addr}");
        println!("get a token: npx wscat --auth alice:wonderland -c ws://{addr}/login -x me");
        println!("come with it: npx wscat -c 'ws://{addr}/?token=token-0' -x hi");
    });
    server.serve(gateway()).await
}
