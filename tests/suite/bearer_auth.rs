//! Authentication by token.

mod browsers;

use std::time::{Duration, SystemTime};

use wasabi::{Error, prelude::*};
use wasabi_tests::{TestServer, serve};

#[derive(Clone)]
struct User(String);

async fn verify(token: String) -> Result<Identity<User>, Denied> {
    match token.as_str() {
        "forbidden" => Err(Denied::Forbidden),
        "down" => Err(Denied::Unavailable),
        "brief" => Ok(Identity::new(User(token)).expires_in(Duration::from_millis(200))),
        "past" => Ok(Identity::new(User(token)).expires_at(SystemTime::UNIX_EPOCH)),
        "bad" => Err(Denied::Invalid),
        _ => Ok(Identity::new(User(token))),
    }
}

async fn whoami(user: Identity<User>, connection: Connection) -> String {
    format!("{} at {}", user.0, connection.uri())
}

async fn with_tokens() -> TestServer {
    let auth = BearerAuth::new(verify)
        .realm("the \"api\"")
        .query_parameter("token");
    serve(gateway!(
        channel("/", http = [auth], whoami),
        channel("/header-only", http = [BearerAuth::new(verify)], whoami),
    ))
    .await
}

async fn ask(server: &TestServer, path: &str, authorization: &str) -> String {
    let client = server
        .connect_with(path, &[("authorization", authorization)])
        .await;
    client.expect("handshake").ask("").await
}

async fn refused(
    server: &TestServer,
    path: &str,
    headers: &[(&'static str, &str)],
) -> (u16, String) {
    let refused = server.connect_with(path, headers).await.err();
    let response = refused.expect("a refusal");
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().expect("text").to_owned());
    (response.status().as_u16(), challenge.unwrap_or_default())
}

#[tokio::test]
async fn the_scheme_is_checked_whatever_its_case() {
    let server = with_tokens().await;
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let answer = ask(&server, "/", &format!("{scheme} abc")).await;
        assert_eq!(answer, "abc at /", "{scheme}");
    }
    for other in [
        "Basic abc",
        "Bearerabc",
        "abc",
        "",
        "Bearer",
        "Bearer ",
        "Token abc",
        "Bearer a b",
        "B\u{e9}arer x",
    ] {
        let (status, challenge) = refused(&server, "/", &[("authorization", other)]).await;
        assert_eq!(
            (status, challenge.as_str()),
            (401, r#"Bearer realm="the \"api\"""#),
            "{other:?}"
        );
    }
    let (status, challenge) = refused(&server, "/header-only", &[]).await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer"));
}

#[tokio::test]
async fn the_verdict_decides_the_answer() {
    let server = with_tokens().await;
    let at = async |token: &str| {
        let header = format!("Bearer {token}");
        refused(&server, "/header-only", &[("authorization", &header)]).await
    };
    assert_eq!(
        at("bad").await,
        (401, r#"Bearer error="invalid_token""#.to_owned())
    );
    assert_eq!(at("forbidden").await, (403, String::new()));
    assert_eq!(at("down").await, (503, String::new()));
}

#[tokio::test]
async fn a_browser_sends_the_token_in_the_query_and_it_is_taken_out() {
    let server = with_tokens().await;
    let mut client = server.connect("/?a=1&token=a%62c&b=2").await;
    assert_eq!(client.ask("").await, "abc at /?a=1&b=2");
    assert_eq!(refused(&server, "/?token=a&token=b", &[]).await.0, 401);
    assert_eq!(refused(&server, "/?token=", &[]).await.0, 401);
    assert_eq!(refused(&server, "/?token=a%0Ab", &[]).await.0, 401);
    let both = refused(&server, "/?token=a", &[("authorization", "Bearer b")]).await;
    assert_eq!(both.0, 401);
    assert_eq!(refused(&server, "/header-only?token=a", &[]).await.0, 401);
}

#[tokio::test]
async fn when_the_token_expires_the_connection_is_closed_with_4401() {
    let server = with_tokens().await;
    for token in ["brief", "past"] {
        let mut client = server.connect(&format!("/?token={token}")).await;
        assert_eq!(client.closed().await.0, 4401, "{token}");
    }
}

mod refreshing {
    use tokio::sync::mpsc;
    use wasabi::Close;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    /// Tokens such as `alice:short`.
    async fn verify(token: String) -> Result<Identity<User>, Denied> {
        let (user, kind) = token.split_once(':').ok_or(Denied::Invalid)?;
        let identity = Identity::new(User(user.to_owned()));
        match kind {
            "for-ever" => Ok(identity),
            "short" => Ok(identity.expires_in(SHORT)),
            "down" => Err(Denied::Unavailable),
            _ => Err(Denied::Invalid),
        }
    }

    fn new_token(req: &Request) -> Result<String> {
        let text = req.message().as_text().unwrap_or_default();
        let token = text.strip_prefix("refresh ");
        Ok(token.ok_or(Error::bad_request("no token"))?.to_owned())
    }

    fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
        let text = message.as_text().unwrap_or_default();
        Ok(Some(Envelope::new(text.split(' ').next().unwrap_or(text))))
    }

    async fn server() -> (TestServer, mpsc::UnboundedReceiver<(String, Close)>) {
        let (gone, ended) = mpsc::unbounded_channel();
        let auth = BearerAuth::new(verify).query_parameter("token");
        let refresh = auth
            .refresh(new_token)
            .same(|old, new| old.0.to_lowercase() == new.0.to_lowercase())
            .reply(|_, identity| format!("welcome, {}", identity.0));
        let gateway = gateway!(channel(
            "/",
            http = [auth],
            parser = first_word,
            on_disconnect = move |connection: Connection, close: Close| {
                let user = connection.identity::<User>().expect("an identity");
                let _ = gone.send((user.into_inner().0, close));
                std::future::ready(())
            },
            match key {
                "refresh" => refresh,
                _ => async |user: Identity<User>| user.into_inner().0,
            },
        ));
        (serve(gateway).await, ended)
    }

    #[tokio::test]
    async fn a_new_token_replaces_the_identity_and_the_time_of_its_end() {
        let (server, mut ended) = server().await;
        let mut client = server.connect("/?token=alice:short").await;
        // It opens later, so it ends later than `client` would have.
        let mut other = server.connect("/?token=bob:short").await;
        assert_eq!(client.ask("who").await, "alice");
        assert_eq!(client.ask("refresh ALICE:for-ever").await, "welcome, ALICE");
        assert_eq!(client.ask("who").await, "ALICE");
        assert_eq!(other.closed().await.0, 4401);
        assert_eq!(ended.recv().await.expect("an end").0, "bob");
        assert_eq!(client.ask("who").await, "ALICE");

        assert_eq!(client.ask("refresh alice:short").await, "welcome, alice");
        assert_eq!(client.closed().await.0, 4401);
        let (user, close) = ended.recv().await.expect("an end");
        assert_eq!((user.as_str(), close.code.as_u16()), ("alice", 4401));
    }

    #[tokio::test]
    async fn a_bad_token_is_answered_and_closes_the_connection_with_4401() {
        let (server, _ended) = server().await;
        for bad in [
            "alice:bad",
            "nonsense",
            "",
            "bob:for-ever",
            "alice:for ever",
        ] {
            let mut client = server.connect("/?token=alice:for-ever").await;
            let answer = client.ask(&format!("refresh {bad}")).await;
            assert!(answer.starts_with("unauthorized"), "{bad:?}: {answer}");
            assert_eq!(client.closed().await.0, 4401, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_unavailable_verifier_changes_nothing() {
        let (server, _ended) = server().await;
        let mut client = server.connect("/?token=alice:for-ever").await;
        let answer = client.ask("refresh alice:down").await;
        assert!(answer.starts_with("unavailable"), "{answer}");
        let answer = client.ask("refresh").await;
        assert!(answer.starts_with("bad_request"), "{answer}");
        assert_eq!(client.ask("who").await, "alice");
    }
}

mod jwt {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde_json::json;
    use wasabi::{
        jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, encode},
        middleware::http::Jwt,
        prelude::*,
    };
    use wasabi_tests::serve;

    #[derive(Clone, serde::Deserialize)]
    struct Claims {
        sub: String,
    }

    const SECRET: &[u8] = b"a secret of at least 32 random bytes";

    fn token(seconds: f64) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let claims = json!({"sub": "alice", "exp": now.as_secs_f64() + seconds});
        encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(SECRET),
        )
        .expect("a token")
    }

    #[tokio::test]
    async fn the_claims_of_a_token_are_the_identity_and_end_with_it() {
        let validation = Validation {
            leeway: 0,
            ..Validation::default()
        };
        let jwt = Jwt::<Claims>::new(DecodingKey::from_secret(SECRET), validation);
        let server = serve(gateway!(channel(
            "/",
            http = [jwt.auth().query_parameter("token")],
            async |claims: Identity<Claims>| claims.into_inner().sub,
        )))
        .await;
        let mut client = server.connect(&format!("/?token={}", token(2.0))).await;
        assert_eq!(client.ask("").await, "alice");
        assert_eq!(client.closed().await.0, 4401);
        let late = server
            .connect_with(&format!("/?token={}", token(-2.0)), &[])
            .await;
        assert_eq!(late.err().expect("a refusal").status(), 401);
    }
}
