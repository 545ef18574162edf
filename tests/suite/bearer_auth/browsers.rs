//! Tokens in the places that browsers offer, and refusals that browsers can read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Close, Error, prelude::*};
use wasabi_tests::{
    TestServer, http2::Http2, serve, serve_with, soon, websocket_upstream::Upstream,
};

#[derive(Clone)]
struct User(String);

async fn verify(token: String) -> Result<Identity<User>, Denied> {
    match token.as_str() {
        "bad" => Err(Denied::Invalid),
        "forbidden" => Err(Denied::Forbidden),
        "down" => Err(Denied::Unavailable),
        _ => Ok(Identity::new(User(token))),
    }
}

async fn whoami(user: Identity<User>, connection: Connection) -> String {
    let headers = connection.headers();
    let offered = headers.get("sec-websocket-protocol");
    let offered = offered.map(|value| value.to_str().unwrap_or("?"));
    let chosen = connection.subprotocol();
    format!("{}, offered {offered:?}, chosen {chosen:?}", user.0)
}

fn auth() -> BearerAuth<impl Fn(String) -> VerifyFuture + Clone + Send + Sync + 'static> {
    BearerAuth::new(|token| -> VerifyFuture { Box::pin(verify(token)) })
}

type VerifyFuture = std::pin::Pin<Box<dyn Future<Output = Result<Identity<User>, Denied>> + Send>>;

type Headers<'a> = &'a [(&'static str, &'a str)];

async fn answer(server: &TestServer, path: &str, headers: Headers<'_>) -> Result<String, u16> {
    match server.connect_with(path, headers).await {
        Ok(mut client) => Ok(client.ask("x").await),
        Err(refusal) => Err(refusal.status().as_u16()),
    }
}

#[tokio::test]
async fn a_token_in_a_cookie_is_accepted_if_there_is_no_other() {
    let server = serve(gateway!(channel(
        "/",
        http = [auth().cookie("session").query_parameter("token")],
        async |user: Identity<User>| user.into_inner().0,
    )))
    .await;
    let alice = ("cookie", "theme=dark; session=alice; x=y");
    assert_eq!(answer(&server, "/", &[alice]).await, Ok("alice".into()));
    // Browsers send the cookie anyway, so the page's choice wins.
    let with_both = answer(&server, "/?token=bob", &[alice]).await;
    assert_eq!(with_both, Ok("bob".into()));
    let with_both = answer(&server, "/", &[alice, ("authorization", "Bearer bob")]).await;
    assert_eq!(with_both, Ok("bob".into()));
    for bad in [
        "session=alice; session=alice",
        "session=",
        "session=bad",
        "sessions=alice",
        "Session=alice",
    ] {
        let refused = answer(&server, "/", &[("cookie", bad)]).await;
        assert_eq!(refused, Err(401), "{bad}");
    }
    let refused = answer(&server, "/?token=bad", &[alice]).await;
    assert_eq!(
        refused,
        Err(401),
        "a bad token is not made good by a cookie"
    );
}

#[tokio::test]
async fn a_token_in_a_subprotocol_is_accepted_and_passed_to_nobody() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(
        channel(
            "/",
            http = [auth().subprotocol()],
            subprotocols = ["chat"],
            whoami,
        ),
        channel(
            "/upstream",
            http = [auth().subprotocol()],
            subprotocols = ["chat"],
            WebSocket::connect(upstream.url("/")).forward_subprotocol(),
        ),
        channel("/other", http = [auth()], subprotocols = ["chat"], whoami),
    ))
    .await;
    let offer = |offer: &'static str| [("sec-websocket-protocol", offer)];
    let mut client = server
        .connect_with("/", &offer("chat, bearer.a.b-c_d"))
        .await
        .expect("let in");
    assert_eq!(client.response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(
        client.ask("").await,
        r#"a.b-c_d, offered Some("chat"), chosen Some("chat")"#
    );

    let mut client = server
        .connect_with("/upstream", &offer("bearer.alice, chat"))
        .await
        .expect("let in");
    client.send("x").await;
    let peer = upstream.accept().await;
    let forwarded = format!("{:?} {:?}", peer.headers, peer.uri);
    assert!(forwarded.contains("chat"), "{forwarded}");
    assert!(!forwarded.contains("alice"), "{forwarded}");

    for bad in [
        "chat",
        "chat, bearer.",
        "bearer.a, bearer.b",
        "bearer.bad, chat",
    ] {
        let refused = answer(&server, "/", &offer(bad)).await;
        assert_eq!(refused, Err(401), "{bad}");
    }
    // The token is taken only where the channel allows it.
    let refused = answer(&server, "/other", &offer("chat, bearer.alice")).await;
    assert_eq!(refused, Err(401));
}

#[tokio::test]
async fn a_refusal_can_be_a_close_and_the_channel_sees_nothing() {
    let connected = Arc::new(AtomicUsize::new(0));
    let registry = Registry::new();
    let on_connect = {
        let connected = Arc::clone(&connected);
        move |_: Connection| {
            connected.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        }
    };
    let auth = auth().query_parameter("token").refuse_by_close();
    let server = serve(gateway!(channel(
        "/",
        http = [auth],
        registry = registry.clone(),
        subprotocols = ["chat"],
        on_connect = on_connect,
        whoami
    ),))
    .await;
    for (path, code) in [
        ("/", 4401),
        ("/?token=bad", 4401),
        ("/?token=a&token=b", 4401),
        ("/?token=forbidden", 4403),
        ("/?token=down", 1013),
    ] {
        let mut client = server.connect(path).await;
        let (closed, reason) = client.closed().await;
        assert_eq!(closed, code, "{path}: {reason}");
        assert!(!reason.is_empty());
    }
    // A browser that offers subprotocols expects one.
    let offer = [("sec-websocket-protocol", "chat, v2")];
    let mut client = server.connect_with("/", &offer).await.expect("accepted");
    assert_eq!(client.response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(client.closed().await.0, 4401);
    assert_eq!(connected.load(Ordering::SeqCst), 0);
    assert!(registry.is_empty());
    assert!(
        server
            .connect("/?token=alice")
            .await
            .ask("")
            .await
            .starts_with("alice")
    );

    // Requests that are not WebSocket handshakes are refused with an HTTP status.
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(server.raw(request).await.starts_with("HTTP/1.1 401 "));
}

/// A page asks `who`, says `login <token>`, or `greet`.
fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    Ok(Some(Envelope::new(text.split(' ').next().unwrap_or(text))))
}

fn token(req: &Request) -> Result<String> {
    let text = req.message().as_text().unwrap_or_default();
    let token = text.strip_prefix("login ");
    Ok(token.ok_or(Error::bad_request("no token"))?.to_owned())
}

async fn with_logins() -> TestServer {
    let auth = auth().optional();
    let login = auth.refresh(token).reply(|_, _| "welcome");
    let deadline = async |connection: Connection| {
        if connection.identity::<User>().is_none() {
            connection.expire_at(SystemTime::now() + Duration::from_millis(500));
        }
        Ok::<(), Close>(())
    };
    serve(gateway!(channel(
        "/",
        http = [auth],
        parser = first_word,
        on_connect = deadline,
        match key {
            "login" => login,
            "greet" => async |user: Option<Identity<User>>| match user {
                Some(user) => format!("hello, {}", user.0),
                None => "hello, stranger".to_owned(),
            },
            _ => async |user: Identity<User>| user.into_inner().0,
        },
    )))
    .await
}

#[tokio::test]
async fn a_client_without_a_token_logs_in_by_its_first_message() {
    let server = with_logins().await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("greet").await, "hello, stranger");
    let refused = client.ask("who").await;
    assert!(refused.starts_with("unauthorized"), "{refused}");
    assert_eq!(client.ask("login alice").await, "welcome");
    assert_eq!(client.ask("who").await, "alice");
    assert_eq!(client.ask("greet").await, "hello, alice");
    // The deadline has passed, and no longer matters.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(client.ask("who").await, "alice");

    let header = [("authorization", "Bearer bob")];
    let mut client = server.connect_with("/", &header).await.expect("let in");
    assert_eq!(client.ask("who").await, "bob");
    let refused = answer(&server, "/", &[("authorization", "Bearer bad")]).await;
    assert_eq!(refused, Err(401), "a bad token is not the same as none");
}

#[tokio::test]
async fn a_client_that_does_not_log_in_in_time_is_closed_with_4401() {
    let server = with_logins().await;
    let mut silent = server.connect("/").await;
    let mut wrong = server.connect("/").await;
    let refused = wrong.ask("login bad").await;
    assert!(refused.starts_with("unauthorized"), "{refused}");
    assert_eq!(wrong.closed().await.0, 4401);
    assert_eq!(silent.closed().await.0, 4401);
}

#[tokio::test]
async fn over_http_2_a_refusal_is_a_close_too() {
    let gateway = gateway!(
        get("/livez", async || "ok"),
        channel("/ws", http = [auth().refuse_by_close()], whoami),
    );
    let server = serve_with(gateway, |server| server.http2_streams(10)).await;
    let mut client = Http2::connect(&server).await;
    let mut stream = client.open("/ws").await;
    let Some(Ok(Frame::Close(Some(close)))) = soon(stream.next()).await else {
        panic!("expected a close");
    };
    assert_eq!(u16::from(close.code), 4401);
    // A request that is not a WebSocket handshake is refused with a status.
    assert_eq!(client.get("/ws").await.status(), 401);
}
