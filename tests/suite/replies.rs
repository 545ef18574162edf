//! The values that backend functions can return.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde_json::json;
use tokio::{
    sync::Notify,
    task::{unconstrained, yield_now},
};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Error, IntoReply, prelude::*, testing::TestGateway};
use wasabi_tests::{Gate, serve};

#[tokio::test]
async fn every_kind_of_reply() {
    let server = serve(gateway!(
        channel("/str", async || "text"),
        channel("/string", async || String::from("text")),
        channel("/text", async || Text::from("text")),
        channel("/json", async || Json(json!({"n": 1}))),
        channel("/bytes", async || Bytes::from_static(b"data")),
        channel("/binary", async || Binary(Bytes::from_static(b"data"))),
        channel("/vec", async || b"data".to_vec()),
        channel("/message", async || Message::text("text")),
        channel("/reply", async || Reply::message("text")),
        channel("/some", async || Some("text")),
        channel("/ok", async || Ok::<_, Error>("text")),
    ))
    .await;
    for path in [
        "/str", "/string", "/text", "/message", "/reply", "/some", "/ok",
    ] {
        assert_eq!(server.connect(path).await.ask("").await, "text", "{path}");
    }
    for path in ["/bytes", "/binary", "/vec"] {
        let mut client = server.connect(path).await;
        client.send("").await;
        assert_eq!(client.binary().await, b"data", "{path}");
    }
    assert_eq!(server.connect("/json").await.ask("").await, r#"{"n":1}"#);
}

#[tokio::test]
async fn a_deliberate_silence_sends_nothing() {
    let server = serve(gateway!(
        channel("/unit", async |text: Text| drop(text)),
        channel("/none", async || None::<String>),
        channel("/empty", async || Vec::<String>::new()),
    ))
    .await;
    for path in ["/unit", "/none", "/empty"] {
        let mut client = server.connect(path).await;
        client.send("x").await;
        client.send(WsMessage::Ping("p".into())).await;
        assert_eq!(client.next().await, WsMessage::Pong("p".into()), "{path}");
    }
}

#[tokio::test]
async fn an_empty_text_is_a_message() {
    let server = serve(gateway!(channel("/", async || ""))).await;
    assert_eq!(server.connect("/").await.ask("x").await, "");
}

#[tokio::test]
async fn several_replies_keep_their_order() {
    let server = serve(gateway!(channel("/", async |text: Text| {
        text.split(' ').map(str::to_owned).collect::<Vec<_>>()
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("a b c").await;
    for expected in ["a", "b", "c"] {
        assert_eq!(client.text().await, expected);
    }
}

async fn count(text: Text) -> Replies<impl Stream<Item = Result<String, Error>>> {
    let end: usize = text.parse().unwrap_or(3);
    Replies(stream::iter(0..end).then(async |n| {
        tokio::task::yield_now().await;
        match n {
            1000 => Err(Error::new("too_far", "that is far enough")),
            n => Ok(n.to_string()),
        }
    }))
}

#[tokio::test]
async fn a_stream_of_replies_ends_with_its_error() {
    let server = serve(gateway!(channel("/", count))).await;
    let mut client = server.connect("/").await;
    client.send("2000").await;
    for n in 0..1000 {
        assert_eq!(client.text().await, n.to_string());
    }
    assert_eq!(client.text().await, "too_far: that is far enough");
    client.silent().await;
    client.send("1").await;
    assert_eq!(client.text().await, "0");
}

#[tokio::test]
async fn a_stream_is_read_only_as_fast_as_the_client_takes_it() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static MADE: AtomicUsize = AtomicUsize::new(0);

    async fn endless() -> Replies<impl Stream<Item = Vec<u8>>> {
        Replies(stream::repeat_with(|| {
            MADE.fetch_add(1, Ordering::SeqCst);
            vec![0; 64 * 1024]
        }))
    }
    let server = serve(gateway!(channel("/", endless))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    assert_eq!(client.binary().await.len(), 64 * 1024);
    // The kernel buffers some megabytes; after that the source must stop.
    let mut before = 0;
    while before != MADE.load(Ordering::SeqCst) {
        before = MADE.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        before < 1000,
        "{before} messages were made for a client that does not read"
    );
    for _ in 0..before + 10 {
        client.binary().await;
    }
}

#[tokio::test]
async fn a_panic_in_a_stream_is_answered_internal() {
    async fn breaks() -> Replies<impl Stream<Item = String>> {
        Replies(stream::iter(0..).map(|n| {
            assert!(n < 2, "on purpose");
            n.to_string()
        }))
    }
    let server = serve(gateway!(channel("/", breaks))).await;
    let mut client = server.connect("/").await;
    client.send("").await;
    for expected in ["0", "1", "internal: internal error"] {
        assert_eq!(client.text().await, expected);
    }
}

/// A pushed message waits with a long reply while the client takes nothing, and may not end up inside of it.
#[tokio::test]
async fn the_messages_of_a_reply_stay_together_after_a_client_has_not_read() {
    const PARTS: usize = 5000;
    let (blocked, queued) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, waits) = (blocked.clone(), queued.clone());
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        max_waiting_bytes = 64KiB,
        match key {
            "many" => move || {
                let wait = wait.clone();
                async move {
                    wait.notified().await;
                    Vec::from_iter((0..PARTS).map(|part| part.to_string()))
                }
            },
            "push" => move |connection: Connection| {
                let waits = waits.clone();
                async move {
                    waits.notified().await;
                    let _ = connection.try_send("pushed");
                }
            },
            "fill" => async || "x".repeat(8 << 20),
            _ => NoRoute,
        },
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for key in ["many", "push", "fill"] {
        client.send(format!(r#"{{"do":"{key}"}}"#)).await;
    }
    for step in [&blocked, &queued] {
        // Nothing tells that the sockets are full. If they are not, the test passes without the fault that it tests for.
        tokio::time::sleep(Duration::from_millis(200)).await;
        step.notify_one();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.text().await.len(), 8 << 20);
    let mut messages = Vec::new();
    while messages.len() < PARTS + 1 {
        messages.push(client.text().await);
    }
    let pushed = messages.iter().position(|message| message == "pushed");
    let pushed = pushed.expect("the pushed message");
    assert!(
        pushed == 0 || pushed == PARTS,
        "after {pushed} of {PARTS} messages"
    );
}

#[tokio::test]
async fn a_reply_that_is_ready_when_a_client_reads_again_waits_for_the_end_of_a_long_one() {
    const PARTS: usize = 200_000;
    const OTHERS: usize = 20;
    let gate = Gate::closed();
    let held = gate.clone();
    let gateway = TestGateway::new(gateway!(channel(
        "/",
        max_waiting_bytes = 1,
        move |text: Text| {
            let held = held.clone();
            async move {
                match &*text {
                    "many" => vec!["part"; PARTS].into_reply(),
                    _ => {
                        held.pass().await;
                        "other".into_reply()
                    }
                }
            }
        },
    )));
    let gateway = gateway.expect("a gateway");
    let mut client = gateway.connect("/").await.expect("a connection");
    for _ in 0..OTHERS {
        client.send("other").await.expect("sent");
    }
    client.send("many").await.expect("sent");
    let mut texts = Vec::new();
    while texts.len() < PARTS + OTHERS {
        // The gateway fills what the client has emptied, and stops.
        for _ in 0..100 {
            yield_now().await;
        }
        // The client takes everything, and a request ends, before the gateway notices either.
        while let Some(Some(message)) = unconstrained(client.stream().next()).now_or_never() {
            texts.push(message.expect("a message").into_text().expect("a text"));
        }
        gate.open.add_permits(1);
    }
    let mut kinds = texts.chunk_by(|one, next| one == next);
    let parts = kinds.find(|kind| kind[0] == "part");
    assert_eq!(parts.map(<[_]>::len), Some(PARTS));
}

/// Numbers the messages of a reply.
#[middleware]
async fn numbered(req: Request, next: impl Next) -> Result<Reply> {
    let mut number = 0;
    Ok(next.run(req).await?.map(move |message| {
        number += 1;
        format!("{number} {}", message.as_text().unwrap_or_default()).into()
    }))
}

/// Fails at the message `bad`.
#[middleware]
async fn good(req: Request, next: impl Next) -> Result<Reply> {
    let reply = next.run(req).await?;
    reply.try_map(|message| match message.as_text() {
        Some("bad") => Err(Error::new("bad_message", "not this one")),
        _ => Ok(message),
    })
}

#[tokio::test]
async fn a_middleware_changes_each_message_of_a_reply_and_those_of_a_stream_when_they_come() {
    let server = serve(gateway!(
        middleware = [numbered],
        channel("/one", async || "a"),
        channel("/many", async || vec!["a", "b"]),
        channel("/none", async || ()),
        channel("/open", async || {
            Replies(stream::iter(["a", "b"]).chain(stream::pending()))
        }),
        channel("/failing", async || {
            let items = [Ok("a"), Err(Error::new("broken", "it broke"))];
            Replies(stream::iter(items))
        }),
    ))
    .await;
    for (path, expected) in [
        ("/one", &["1 a"][..]),
        ("/many", &["1 a", "2 b"]),
        ("/none", &[]),
        ("/open", &["1 a", "2 b"]),
        ("/failing", &["1 a", "broken: it broke"]),
    ] {
        let mut client = server.connect(path).await;
        client.send("go").await;
        for expected in expected {
            assert_eq!(client.text().await, *expected, "{path}");
        }
        client.silent().await;
    }
}

#[tokio::test]
async fn a_message_that_a_middleware_refuses_ends_the_stream_or_replaces_the_reply() {
    let server = serve(gateway!(
        middleware = [good],
        channel("/many", async || vec!["a", "bad"]),
        channel("/stream", async || Replies(stream::iter(["a", "bad", "c"]))),
    ))
    .await;
    let refused = "bad_message: not this one";
    for (path, expected) in [("/many", &[refused][..]), ("/stream", &["a", refused])] {
        let mut client = server.connect(path).await;
        client.send("go").await;
        for expected in expected {
            assert_eq!(client.text().await, *expected, "{path}");
        }
        client.silent().await;
    }
}
