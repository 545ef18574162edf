//! Tokens that require extensions, secrets that can be guessed, and tokens that are verified out of order.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tokio::sync::Notify;
use wasabi::{
    Error,
    jsonwebtoken::{EncodingKey, Header, encode},
    middleware::http::Jwt,
    prelude::*,
};
use wasabi_tests::{TestServer, serve};

#[derive(Clone, serde::Deserialize)]
struct Claims {
    sub: String,
}

const SECRET: &[u8] = b"a secret of at least 32 random bytes";

fn token(secret: &[u8], crit: Option<&str>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let exp = now.expect("after 1970").as_secs() + 600;
    let header = Header {
        crit: crit.map(|name| vec![name.to_owned()]),
        ..Header::default()
    };
    let claims = json!({"sub": "alice", "exp": exp});
    encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("a token")
}

async fn status(secret: &[u8], token: &str) -> u16 {
    let jwt = Jwt::<Claims>::hs256(secret);
    let server = serve(gateway!(channel(
        "/",
        http = [jwt.auth()],
        async |claims: Identity<Claims>| claims.into_inner().sub,
    )))
    .await;
    let header = format!("Bearer {token}");
    match server
        .connect_with("/", &[("authorization", &header)])
        .await
    {
        Ok(mut client) => {
            assert_eq!(client.ask("").await, "alice");
            101
        }
        Err(refusal) => refusal.status().as_u16(),
    }
}

#[tokio::test]
async fn a_token_with_crit_is_refused_at_the_handshake() {
    assert_eq!(status(SECRET, &token(SECRET, None)).await, 101);
    assert_eq!(status(SECRET, &token(SECRET, Some("b64"))).await, 401);
}

#[tokio::test]
async fn a_secret_of_one_byte_admits_nobody() {
    // The gateway is not served.
    let jwt = Jwt::<Claims>::hs256(b"s");
    let gateway = gateway!(channel("/", http = [jwt.auth()], async || "in"));
    let mistakes = gateway.check().expect_err("a mistake");
    assert!(mistakes[0].to_string().contains("secret"), "{mistakes:?}");
    let Err(denied) = jwt.verify(&token(b"s", None)).await else {
        panic!("let in");
    };
    assert_eq!(denied, wasabi::middleware::http::Denied::Unavailable);
}

#[derive(Clone)]
struct User(String);

fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    Ok(Some(Envelope::new(text.split(' ').next().unwrap_or(text))))
}

/// Tokens such as `alice` or `alice:slow`; the slow ones wait until `go` is called.
async fn refreshing(go: Arc<Notify>) -> TestServer {
    let auth = BearerAuth::new(move |token: String| {
        let go = Arc::clone(&go);
        async move {
            let (name, kind) = token.split_once(':').unwrap_or((&token, ""));
            if kind.starts_with("slow") {
                go.notified().await;
            }
            let identity = Identity::new(User(name.to_owned()));
            match kind {
                "slow-bad" => None,
                "slow-brief" => Some(identity.expires_in(Duration::from_millis(10))),
                _ => Some(identity),
            }
        }
    });
    let refresh = auth
        .refresh(|req| {
            let text = req.message().as_text().unwrap_or_default();
            let token = text.strip_prefix("refresh ");
            Ok(token.ok_or(Error::bad_request("no token"))?.to_owned())
        })
        .reply(|_, user| format!("welcome, {}", user.0));
    serve(gateway!(channel(
        "/",
        http = [auth],
        parser = first_word,
        match key {
            "refresh" => refresh,
            _ => async |user: Identity<User>| user.into_inner().0,
        },
    )))
    .await
}

#[tokio::test]
async fn an_older_token_that_is_verified_later_does_not_replace_a_newer_one() {
    let go = Arc::new(Notify::new());
    let server = refreshing(Arc::clone(&go)).await;
    for slow in ["bob:slow", "bob:slow-brief"] {
        let header = [("authorization", "Bearer alice")];
        let mut client = server.connect_with("/", &header).await.expect("let in");
        client.send(format!("refresh {slow}")).await;
        assert_eq!(client.ask("refresh carol").await, "welcome, carol");
        go.notify_one();
        assert_eq!(
            client.text().await,
            "superseded: a newer token is already in use"
        );
        // Neither the identity nor its expiry changes.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(client.ask("who").await, "carol");
    }
}

#[tokio::test]
async fn a_bad_token_closes_the_connection_also_when_a_newer_one_was_good() {
    let go = Arc::new(Notify::new());
    let server = refreshing(Arc::clone(&go)).await;
    let header = [("authorization", "Bearer alice")];
    let mut client = server.connect_with("/", &header).await.expect("let in");
    client.send("refresh bob:slow-bad").await;
    assert_eq!(client.ask("refresh carol").await, "welcome, carol");
    go.notify_one();
    assert!(client.text().await.starts_with("unauthorized"));
    assert_eq!(client.closed().await.0, 4401);
}
