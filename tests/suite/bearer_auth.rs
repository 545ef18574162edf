//! Clients with tokens.

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
async fn the_verdict_decides_about_the_answer() {
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

#[tokio::test]
async fn a_client_that_sends_a_new_token_in_time_may_stay() {
    async fn refresh(token: Text, connection: Connection) -> Result<&'static str> {
        let Ok(identity) = verify(token.to_string()).await else {
            return Err(Error::new("unauthorized", "the token is not valid"));
        };
        connection.expire_at(None);
        drop(identity);
        Ok("stay")
    }
    let server = serve(gateway!(channel(
        "/",
        http = [BearerAuth::new(verify)],
        refresh
    )))
    .await;
    let headers = [("authorization", "Bearer brief")];
    let client = async || server.connect_with("/", &headers).await.expect("handshake");
    let (mut good, mut bad) = (client().await, client().await);
    assert_eq!(good.ask("abc").await, "stay");
    assert!(bad.ask("bad").await.starts_with("unauthorized"));
    assert_eq!(bad.closed().await.0, 4401);
    assert_eq!(good.ask("abc").await, "stay");
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
