//! R45: a streaming reply whose source falls silent ends with an error, and returns its slot.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::prelude::*;
use wasabi_tests::{Gate, serve, soon, until};

#[tokio::test]
async fn a_stream_whose_source_stalls_ends_with_an_error_and_frees_its_slot() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        stream_idle_timeout = 200ms,
        move |text: Text| {
            let held = held.clone();
            let first = stream::iter([Ok(Message::from(text))]);
            let then = stream::once(async move {
                held.pass().await;
                Ok(Message::from("never"))
            });
            async { Reply::stream(first.chain(then)) }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for text in ["one", "two"] {
        assert_eq!(client.ask(text).await, text);
        let error = client.text().await;
        assert!(error.starts_with("timed_out: "), "{error}");
        until("the source is dropped", || gate.running() == 0).await;
    }
}

#[tokio::test]
async fn a_stream_that_sends_occasionally_goes_on() {
    let server = serve(gateway!(channel(
        "/",
        stream_idle_timeout = 300ms,
        async |_: Text| {
            Replies(stream::iter(0..10).then(async |n| {
                sleep(Duration::from_millis(60)).await;
                n.to_string()
            }))
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    for n in 0..10 {
        assert_eq!(client.text().await, n.to_string());
    }
}

#[tokio::test]
async fn a_stream_is_not_to_blame_while_its_client_takes_nothing() {
    let server = serve(gateway!(channel(
        "/",
        stream_idle_timeout = 100ms,
        async |_: Text| Replies(stream::iter(0..40).map(|_| vec![7_u8; 1 << 20])),
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    sleep(Duration::from_millis(400)).await;
    for _ in 0..40 {
        let message = soon(client.socket.next()).await.unwrap().unwrap();
        assert!(matches!(message, WsMessage::Binary(_)), "{message:?}");
    }
    client.silent().await;
}
