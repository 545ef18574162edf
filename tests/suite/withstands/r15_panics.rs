//! R15: a panic in user code costs one reply, but neither the connection nor a place.
//!
//! `connection.rs` and `hooks.rs` test functions and hooks.

use std::sync::Arc;

use futures_util::Stream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Close, CloseCode, ErrorFormat, prelude::*};
use wasabi_tests::{TestServer, serve, soon, told, until};

use wasabi_tests::websocket_upstream::Upstream;

/// The server closes the connection while a request is in flight; the next message is parsed while it drains.
#[tokio::test]
async fn a_panic_in_the_parser_of_a_closing_connection_is_one_error_reply() {
    fn parse(message: &Message) -> Result<Option<Envelope<'_>>> {
        assert!(message.as_text() != Some("panic"), "on purpose");
        Ok(Some(Envelope::from_static("x")))
    }
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        parser = parse,
        on_disconnect = hook,
        move |connection: Connection| {
            let held = held.clone();
            async move {
                connection.close(CloseCode::new::<4000>());
                held.notified().await;
                "done"
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("close").await;
    client.send("too late").await;
    let early = client.text().await;
    assert!(early.starts_with("closing: "), "{early}");
    client.send("panic").await;
    let answer = client.text().await;
    assert!(answer.starts_with("closing: "), "{answer}");
    gate.notify_one();
    assert_eq!(client.text().await, "done");
    assert_eq!(client.closed().await.0, 4000);
    assert_eq!(soon(told.recv()).await, Some(4000));
}

#[tokio::test]
async fn a_panic_in_the_error_format_is_one_error_reply() {
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        errors = ErrorFormat::with(|error, _| -> String {
            assert!(!error.to_string().contains("boom"), "on purpose");
            "an error".to_owned()
        }),
        on_disconnect = hook,
        async |text: Text| -> Result<Text> {
            match &*text {
                "boom" => Err(wasabi::Error::bad_request("boom")),
                "bad" => Err(wasabi::Error::bad_request("bad")),
                _ => Ok(text),
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("boom").await, "internal: internal error");
    assert_eq!(client.ask("bad").await, "an error");
    assert_eq!(client.ask("fine").await, "fine");
    client.close(4001, "").await;
    assert_eq!(soon(told.recv()).await, Some(4001));
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose");
        }
    }
}

impl Stream for Bomb {
    type Item = String;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<String>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_panic_in_a_destructor_does_not_keep_the_hook_from_running() {
    let registry = Registry::new();
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/{what}",
        registry = registry.clone(),
        on_disconnect = hook,
        async |connection: Connection| -> Result<Reply> {
            match connection.uri().path() {
                "/stream" => Replies(Bomb).into_reply(),
                _ => {
                    let _bomb = Bomb;
                    std::future::pending::<Result<Reply>>().await
                }
            }
        },
    )))
    .await;
    for path in ["/stream", "/future"] {
        let mut client = server.connect(path).await;
        client.send("x").await;
        client.send(WsMessage::Ping("".into())).await;
        client.next().await;
        let connection = registry.connections().pop().unwrap();
        client.close(4002, "").await;
        assert_eq!(soon(told.recv()).await, Some(4002), "{path}");
        assert_eq!(soon(connection.closed()).await.code.as_u16(), 4002);
        until("the registry is empty", || registry.is_empty()).await;
    }
    // The connection is lost, not closed.
    let mut client = server.connect("/future").await;
    client.send("x").await;
    client.send(WsMessage::Ping("".into())).await;
    client.next().await;
    drop(client);
    assert_eq!(soon(told.recv()).await, Some(1006));
}

#[tokio::test]
async fn a_panic_in_the_destructor_of_an_on_connect_that_is_cancelled_does_not_change_the_end() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        on_connect = async |_: Connection| {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        },
        async |text: Text| text,
    )))
    .await;
    let mut client = server.connect("/").await;
    until("it is listed", || registry.len() == 1).await;
    let connection = registry.connections().pop().unwrap();
    connection.close(Close::new(CloseCode::new::<4000>(), "enough"));
    assert_eq!(client.closed().await, (4000, "enough".to_owned()));
    assert_eq!(soon(connection.closed()).await.code.as_u16(), 4000);
    until("the registry is empty", || registry.is_empty()).await;
}

/// Reports when it is dropped, with a panic on request.
struct Witness(
    tokio::sync::mpsc::UnboundedSender<&'static str>,
    &'static str,
);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
        assert!(self.1 != "bomb", "on purpose");
    }
}

#[tokio::test]
async fn after_a_panic_in_on_disconnect_or_in_a_stash_everything_else_is_freed() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (first, second) = (tell.clone(), tell);
    let kept = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = kept.clone(),
        http = [
            Stash::new(move |_: &http::request::Parts| (Witness(first.clone(), "bomb"), 1)),
            Stash::new(move |_: &http::request::Parts| Witness(second.clone(), "value")),
        ],
        on_disconnect = async |_: Connection, _: Close| panic!("on purpose"),
        async |text: Text| text,
    )))
    .await;
    let client = server.connect("/").await;
    until("it is listed", || kept.len() == 1).await;
    let _handle = kept.connections().pop();
    client.close(1000, "").await;
    let mut freed = [soon(told.recv()).await, soon(told.recv()).await];
    freed.sort();
    assert_eq!(freed, [Some("bomb"), Some("value")]);
}

#[tokio::test]
async fn a_panic_in_on_disconnect_does_not_keep_the_upstream_from_being_closed() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        on_disconnect = async |_: Connection, _: Close| panic!("on purpose"),
        WebSocket::connect(upstream.url("/")),
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "x");
    client.close(4000, "enough").await;
    assert_eq!(peer.closed().await, (4000, "enough".to_owned()));
}

#[tokio::test]
async fn a_place_is_free_again_whatever_panicked() {
    let server = serve(gateway!(channel(
        "/{what}",
        max_connections = 1,
        on_connect = async |connection: Connection| {
            assert!(connection.uri().path() != "/connect", "on purpose");
        },
        on_disconnect = async |connection: Connection, _: Close| {
            assert!(connection.uri().path() != "/disconnect", "on purpose");
        },
        async |text: Text| -> Result<Text> {
            match &*text {
                "panic" => panic!("on purpose"),
                "bomb" => {
                    let _bomb = Bomb;
                    std::future::pending().await
                }
                _ => Ok(text),
            }
        },
    )))
    .await;
    for path in ["/connect", "/disconnect", "/panic", "/bomb"] {
        let mut client = place(&server, path).await;
        client.send(&path[1..]).await;
        if path == "/panic" {
            assert_eq!(client.text().await, "internal: internal error");
        }
        client.close(1000, "").await;
    }
    let mut last = place(&server, "/fine").await;
    assert_eq!(last.ask("fine").await, "fine");
    let refused = server.connect_with("/fine", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 503);
}

/// Opens a connection as soon as there is a place for it.
async fn place(server: &TestServer, path: &str) -> wasabi_tests::Client {
    let asking = async {
        loop {
            if let Ok(client) = server.connect_with(path, &[]).await {
                return client;
            }
        }
    };
    soon(asking).await
}

#[tokio::test]
async fn a_panic_in_a_middleware_is_one_error_reply() {
    #[middleware]
    async fn fragile(req: Request, next: impl Next) -> Result<Reply> {
        assert!(req.message().as_text() != Some("panic"), "on purpose");
        next.run(req).await
    }
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        middleware = [Throttle::new(1), fragile],
        async |text: Text| text,
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..3 {
        assert_eq!(client.ask("panic").await, "internal: internal error");
        assert_eq!(client.ask("fine").await, "fine");
    }
    assert_eq!(registry.len(), 1);
}

#[tokio::test]
async fn a_panic_in_http_middleware_is_answered_500_and_holds_no_place() {
    let fragile = axum::middleware::from_fn(
        async |req: axum::extract::Request, next: axum::middleware::Next| {
            let response = next.run(req).await;
            assert!(response.status() != 503, "on purpose");
            response
        },
    );
    let server = serve(gateway!(channel(
        "/",
        max_connections = 1,
        http = [fragile],
        async |text: Text| text,
    )))
    .await;
    let mut client = server.connect("/").await;
    let refused = server.connect_with("/", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 500);
    assert_eq!(client.ask("fine").await, "fine");
    client.close(1000, "").await;
    let mut next = place(&server, "/").await;
    assert_eq!(next.ask("fine").await, "fine");
}
