//! Handles that intercept messages and closes.

use wasabi::{Close, CloseCode, Intercept, TrySendError, prelude::*};
use wasabi_tests::serve;

use wasabi_tests::websocket_upstream::Upstream;

struct Tagged(&'static str);

impl Intercept for Tagged {
    fn send(&self, message: Message) -> Option<Message> {
        let text = message.as_text()?;
        (text != "secret").then(|| format!("{}({text})", self.0).into())
    }

    fn close(&self, close: Close) -> Option<Close> {
        (close.code != CloseCode::NORMAL).then(|| Close::new(CloseCode::GOING_AWAY, self.0))
    }
}

#[middleware]
async fn tag(name: &'static str, req: Request, next: impl Next) -> Result<Reply> {
    let connection = req.connection().intercept(Tagged(name));
    next.run(req.with_connection(connection)).await
}

#[tokio::test]
async fn sends_and_closes_through_a_handle_pass_its_interceptors() {
    let server = serve(gateway!(channel(
        "/",
        middleware = [tag("outer"), tag("inner")],
        async |text: Text, connection: Connection| {
            for message in ["secret", "open"] {
                connection.send(message).await.unwrap();
                connection.try_send(message).unwrap();
            }
            connection.close(CloseCode::NORMAL);
            if text == *"close" {
                connection.close(CloseCode::new::<4000>());
            }
            text
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("hi").await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(client.text().await);
    }
    texts.sort();
    assert_eq!(texts, ["hi", "outer(inner(open))", "outer(inner(open))"]);
    client.send("close").await;
    for _ in 0..3 {
        client.text().await;
    }
    assert_eq!(client.closed().await, (1001, "outer".to_owned()));
}

#[tokio::test]
async fn a_handle_of_another_connection_does_not_replace_that_of_a_request() {
    #[middleware]
    async fn confuse(registry: Registry, req: Request, next: impl Next) -> Result<Reply> {
        let others = registry.connections();
        let id = req.connection().id();
        let other = others.into_iter().find(|other| other.id() != id);
        next.run(req.with_connection(other.expect("another one")))
            .await
    }
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        middleware = [confuse(registry)],
        async |connection: Connection| connection.uri().to_string(),
    )))
    .await;
    let mut one = server.connect("/?one").await;
    let mut two = server.connect("/?two").await;
    assert_eq!(two.ask("").await, "/?two");
    assert_eq!(one.ask("").await, "/?one");
}

#[tokio::test]
async fn messages_of_an_upstream_pass_the_interceptors_once_even_when_the_queue_is_full() {
    let mut upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/"));
    let server = serve(gateway!(channel(
        "/",
        max_waiting_messages = 1,
        with([tag("once")], backend)
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    for n in 0..100 {
        peer.send(n.to_string()).await;
    }
    for n in 0..100 {
        assert_eq!(client.text().await, format!("once({n})"));
    }
}

/// Nothing leaves the queue during a turn of the connection's task.
#[tokio::test]
async fn a_message_that_finds_no_room_comes_back_unchanged() {
    let server = serve(gateway!(channel(
        "/",
        max_waiting_messages = 1,
        middleware = [tag("tagged")],
        async |connection: Connection| {
            connection.try_send("first").unwrap();
            match connection.try_send("second") {
                Err(TrySendError::Full(message)) => message,
                other => format!("{other:?}").into(),
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut texts = [client.text().await, client.text().await];
    texts.sort();
    assert_eq!(texts, ["second", "tagged(first)"]);
}
