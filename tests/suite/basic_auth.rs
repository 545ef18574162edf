//! Authentication by user and password.

use std::time::{Duration, SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use wasabi::{CloseCode, GatewayError, prelude::*};
use wasabi_tests::{TestServer, serve, soon};

/// `alice:wonderland`
const ALICE: &str = "Basic YWxpY2U6d29uZGVybGFuZA==";
/// `alice:underground`
const WRONG: &str = "Basic YWxpY2U6dW5kZXJncm91bmQ=";
/// `mallory:wonderland`
const UNKNOWN: &str = "Basic bWFsbG9yeTp3b25kZXJsYW5k";

async fn whoami(user: Identity<String>, connection: Connection) -> String {
    assert_eq!(connection.identity::<String>(), Some(user.clone()));
    user.into_inner()
}

async fn users() -> TestServer {
    let users =
        BasicAuth::users([("alice", "wonderland"), ("bob", "builder")]).realm(r#"the "staff""#);
    serve(gateway!(channel("/", http = [users], whoami))).await
}

async fn refused(server: &TestServer, headers: &[(&'static str, &str)]) -> (u16, String) {
    let refused = server.connect_with("/", headers).await.err();
    let response = refused.expect("a refusal");
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().expect("text").to_owned());
    (response.status().as_u16(), challenge.unwrap_or_default())
}

#[tokio::test]
async fn a_user_with_the_right_password_gets_in_and_is_the_identity() {
    let server = users().await;
    for written in [
        ALICE,
        "basic  YWxpY2U6d29uZGVybGFuZA",
        "BASIC YWxpY2U6d29uZGVybGFuZA==",
    ] {
        let client = server
            .connect_with("/", &[("authorization", written)])
            .await;
        assert_eq!(client.expect(written).ask("").await, "alice");
    }
}

#[tokio::test]
async fn others_get_401_and_the_realm_in_quotes() {
    let server = users().await;
    let challenge = r#"Basic realm="the \"staff\"", charset="UTF-8""#.to_owned();
    for written in [
        WRONG,
        UNKNOWN,
        "Basic",
        "Basic ",
        "Basic !",
        "Basic OjpA",
        "",
        "x",
        "Bearer YWxpY2U6d29uZGVybGFuZA==",
    ] {
        let answer = refused(&server, &[("authorization", written)]).await;
        assert_eq!(answer, (401, challenge.clone()), "{written:?}");
    }
    assert_eq!(refused(&server, &[]).await, (401, challenge));
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let server = users().await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: {ALICE}\r\nauthorization: {ALICE}\r\n\r\n"
    );
    assert!(server.raw(&request).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_function_verifies_names_and_passwords() {
    #[derive(Clone)]
    struct User {
        name: String,
        admin: bool,
    }
    async fn verify(name: String, password: String) -> Result<Identity<User>, Denied> {
        match (name.as_str(), password.as_str()) {
            (_, "wonderland") => {
                let admin = name == "alice";
                Ok(Identity::new(User { name, admin }))
            }
            (_, "underground") => Err(Denied::Forbidden),
            _ => Err(Denied::Unavailable),
        }
    }
    let server = serve(gateway!(channel(
        "/",
        http = [BasicAuth::verify(verify)],
        async |user: Identity<User>| format!("{} {}", user.name, user.admin),
    )))
    .await;
    let client = server.connect_with("/", &[("authorization", ALICE)]).await;
    assert_eq!(client.expect("handshake").ask("").await, "alice true");
    assert_eq!(refused(&server, &[("authorization", WRONG)]).await.0, 403);
    let other = "Basic YTpi";
    let refused = server.connect_with("/", &[("authorization", other)]).await;
    let refused = refused.err().expect("nobody can tell");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
}

#[tokio::test]
async fn names_and_passwords_with_control_characters_reach_no_function() {
    let everybody =
        async |name: String, password: String| Some(Identity::new(format!("{name} {password}")));
    let server = serve(gateway!(channel(
        "/",
        http = [BasicAuth::verify(everybody)],
        async |user: Identity<String>| user.into_inner(),
    )))
    .await;
    let written = |credentials: &str| format!("Basic {}", BASE64_STANDARD.encode(credentials));
    for credentials in [
        "alice\r\nx-admin: 1:wonderland",
        "alice\0:wonderland",
        "alice:wonder\nland",
        "ali\tce:wonderland",
        "alice:wonderland\x7f",
    ] {
        let header = written(credentials);
        let answer = refused(&server, &[("authorization", &header)]).await;
        assert_eq!(answer.0, 401, "{credentials:?}");
    }
    let header = written("älice:wonder:land");
    let client = server
        .connect_with("/", &[("authorization", &header)])
        .await;
    assert_eq!(
        client.expect("handshake").ask("").await,
        "älice wonder:land"
    );
}

#[tokio::test]
async fn logs_do_not_show_credentials() {
    let users = BasicAuth::users([("alice", "wonderland")]);
    let server = serve(gateway!(channel(
        "/",
        http = [users],
        async |connection: Connection| format!("{:?}", connection.headers()),
    )))
    .await;
    let client = server.connect_with("/", &[("authorization", ALICE)]).await;
    let shown = client.expect("handshake").ask("").await;
    assert!(
        shown.contains(r#""authorization": Sensitive"#) && !shown.contains("YWxp"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_hashed_password_is_verified() {
    let hash = "$argon2id$v=19$m=64,t=1,p=1$YSBzYWx0IG9mIDE2IGJ5$VybhHsfjij0O3eSta7Hv9iWiw5UmJOvsYPP8bFf65LM";
    let users = BasicAuth::users([("alice", hash), ("bob", "builder")]);
    let server = serve(gateway!(channel("/", http = [users], whoami))).await;
    for (user, written) in [("alice", ALICE), ("bob", "Basic Ym9iOmJ1aWxkZXI=")] {
        let client = server
            .connect_with("/", &[("authorization", written)])
            .await;
        assert_eq!(client.expect(user).ask("").await, user);
    }
    for written in [WRONG, UNKNOWN, "Basic Ym9iOndvbmRlcmxhbmQ="] {
        assert_eq!(refused(&server, &[("authorization", written)]).await.0, 401);
    }
}

#[tokio::test]
async fn a_table_with_mistakes_keeps_the_gateway_from_being_served() {
    let users = BasicAuth::users([("alice", "$argon2id$nonsense"), ("a:b", "x")]);
    let mistakes = gateway!(channel("/", http = [users], whoami)).check();
    let mistakes = mistakes.expect_err("two mistakes");
    assert!(
        matches!(&mistakes[..], [GatewayError::Setting(alice), GatewayError::Setting(other)]
            if alice.contains("user `alice`: not an Argon2 hash") && other.contains("user `a:b`: ")),
        "{mistakes:?}"
    );
}

fn by_text(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}

#[tokio::test]
async fn when_the_identity_expires_the_connection_is_closed_with_4401() {
    async fn verify(name: String, _password: String) -> Option<Identity<String>> {
        Some(Identity::new(name).expires_in(Duration::from_millis(300)))
    }
    let server = serve(gateway!(channel(
        "/",
        http = [BasicAuth::verify(verify)],
        parser = by_text,
        match key {
            "stay" => async |connection: Connection| {
                connection.expire_at(SystemTime::now() + Duration::from_secs(3600));
                "good"
            },
            "leave" => async |connection: Connection| {
                connection.expire_at(SystemTime::UNIX_EPOCH);
            },
            _ => whoami,
        },
    )))
    .await;
    let connect = async || {
        let client = server.connect_with("/", &[("authorization", ALICE)]).await;
        client.expect("handshake")
    };
    let (mut one, mut two) = (connect().await, connect().await);
    assert_eq!(two.ask("stay").await, "good");
    let start = std::time::Instant::now();
    assert_eq!(
        one.closed().await,
        (4401, "credentials have expired".to_owned())
    );
    assert!(start.elapsed() < Duration::from_secs(2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(two.ask("").await, "alice");
    two.send("leave").await;
    assert_eq!(soon(two.closed()).await.0, CloseCode::EXPIRED.as_u16());
}
