//! Channels whose protocol writes replies and errors.

use futures_util::{Stream, stream};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Call, CloseCode, Error, Incoming, Protocol, RequestId, prelude::*};
use wasabi_tests::{Gate, TestServer, log::Log, serve, until};

/// `7 key rest` is answered with `7 = reply`, or `7 ! code`; `- key` with nothing.
struct Numbered;

impl Protocol for Numbered {
    fn read<'m>(&self, message: &'m Message, _from: &Connection) -> Result<Incoming<'m>> {
        let text = message.as_text().ok_or(Error::bad_request("no text"))?;
        let mut words = text.split(' ');
        let (first, key) = (words.next(), words.next());
        Ok(match (first, key) {
            (Some("-"), Some(key)) => Incoming::Request(Envelope::new(key).without_reply()),
            (Some("?"), Some(_)) => Incoming::Request(Envelope::invalid(Error::NoRoute)),
            (Some(id), Some(key)) => {
                Incoming::Request(Envelope::new(key).id(RequestId::new(id.to_owned())))
            }
            (Some("hi"), _) => Incoming::Answer("hello".into()),
            (Some("bye"), _) => Incoming::Close(wasabi::Close::new(CloseCode::POLICY, "as asked")),
            (Some("panic"), _) => panic!("a protocol"),
            _ => Incoming::Nothing,
        })
    }

    fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
        assert!(call.connection().remote_addr().is_some());
        let id = call.id().cloned().ok_or(Error::internal("no id"))?;
        let (mut index, is_stream) = (0, reply.is_stream());
        reply.try_map(move |message| {
            let text = message.as_text().unwrap_or_default();
            if text == "unwritable" {
                return Err(Error::new("unwritable", ""));
            }
            index += 1;
            Ok(match is_stream {
                true => Message::text(format!("{id} [{index}] {text}")),
                false => Message::text(format!("{id} = {text}")),
            })
        })
    }

    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        let id = id.map_or("-", RequestId::as_str);
        Reply::message(format!("{id} ! {}", error.code()))
    }
}

async fn count() -> Replies<impl Stream<Item = Result<&'static str, Error>>> {
    let items = [Ok("a"), Ok("b"), Err(Error::new("broken", ""))];
    Replies(stream::iter(items))
}

async fn numbered() -> (TestServer, Gate) {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(
        errors = Json, // of channels without a protocol
        channel(
            "/",
            protocol = Numbered,
            match key {
                "text" => async || "text",
                "two" => async || vec!["one", "two"],
                "nothing" => async || (),
                "count" => count,
                "unwritable" => async || "unwritable",
                "panic" => async || -> &'static str { panic!("a backend") },
                "wait" => move || {
                    let held = held.clone();
                    async move {
                        held.pass().await;
                        "done"
                    }
                },
                _ => NoRoute,
            },
        ),
    ))
    .await;
    (server, gate)
}

#[tokio::test]
async fn a_protocol_writes_replies_and_errors() {
    let (server, _gate) = numbered().await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("1 text").await, "1 = text");
    assert_eq!(client.ask("2 two").await, "2 = one");
    assert_eq!(client.text().await, "2 = two");
    assert_eq!(client.ask("3 count").await, "3 [1] a");
    assert_eq!(client.text().await, "3 [2] b");
    assert_eq!(client.text().await, "3 ! broken");
    assert_eq!(client.ask("4 other").await, "4 ! no_route");
    assert_eq!(client.ask("5 panic").await, "5 ! internal");
    assert_eq!(client.ask("6 unwritable").await, "6 ! unwritable");
    client.send(vec![1]).await;
    assert_eq!(client.text().await, "- ! bad_request");
    assert_eq!(client.ask("? text").await, "- ! no_route");
    assert_eq!(client.ask("panic").await, "- ! internal");
    client.send("7 nothing").await;
    client.send("nothing").await;
    assert_eq!(client.ask("hi").await, "hello");
    client.send("bye").await;
    assert_eq!(client.closed().await, (1008, "as asked".to_owned()));
}

#[tokio::test]
async fn a_request_that_wants_no_reply_gets_neither_a_reply_nor_an_error() {
    let log = Log::of(tracing::Level::DEBUG);
    let (server, _gate) = numbered().await;
    let mut client = server.connect("/").await;
    for silent in ["text", "two", "count", "other", "panic", "nothing"] {
        client.send(format!("- {silent}")).await;
    }
    assert_eq!(client.ask("1 text").await, "1 = text");
    client.silent().await;
    assert_eq!(log.lines("no_route").len(), 1, "{}", log.text());
    assert_eq!(log.lines("panicked").len(), 1, "{}", log.text());
}

#[tokio::test]
async fn a_request_that_wants_no_reply_continues_after_its_client() {
    let (server, gate) = numbered().await;
    let mut client = server.connect("/").await;
    client.send("- wait").await;
    client.send("1 wait").await;
    until("both run", || gate.running() == 2).await;
    client.send(WsMessage::Close(None)).await;
    until("one is cancelled", || gate.running() == 1).await;
    gate.open.add_permits(1);
    until("the other has ended", || gate.running() == 0).await;
}

#[tokio::test]
async fn a_channel_with_a_parser_is_not_of_the_protocol_of_its_gateway() {
    let server = serve(gateway!(
        protocol = Numbered,
        channel("/inherits", NoRoute),
        channel("/parser", parser = Raw, errors = Text, NoRoute),
    ))
    .await;
    let mut client = server.connect("/inherits").await;
    assert_eq!(client.ask("1 x").await, "1 ! no_route");
    let mut client = server.connect("/parser").await;
    assert_eq!(client.ask("1 x").await, "no_route: no route for this key");
}
