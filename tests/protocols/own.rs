//! Channels whose protocol writes replies and errors.

use futures_util::{Stream, stream};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Call, Close, CloseCode, Error, Incoming, Protocol, RequestId, prelude::*};
use wasabi_tests::{Gate, TestServer, log::Log, serve, until};

/// `7 key rest` is answered with `7 = reply`, or `7 ! code`; `- key` with nothing. The id of `7! key` must not be in
/// flight. `x 7` cancels, `xx 7` does so silently. Several lines are a batch.
struct Numbered;

impl Protocol for Numbered {
    fn read<'m>(&self, message: &'m Message, _from: &Connection) -> Result<Incoming<'m>> {
        let text = std::str::from_utf8(message.as_bytes());
        let text = text.map_err(|_| Error::bad_request("no text"))?;
        if text.contains('\n') {
            return Ok(Incoming::Batch(
                text.lines().map(|line| line.to_owned().into()).collect(),
            ));
        }
        let mut words = text.splitn(3, ' ');
        let (first, key) = (words.next(), words.next());
        let id = |id: &str| RequestId::new(id.to_owned());
        Ok(match (first, key) {
            (Some("-"), Some(key)) => Incoming::Request(Envelope::new(key).without_reply()),
            (Some("?"), Some(_)) => Incoming::Request(Envelope::invalid(Error::NoRoute)),
            (Some("x"), Some(cancelled)) => Incoming::Cancel(id(cancelled)),
            (Some("xx"), Some(cancelled)) => {
                Incoming::Request(Envelope::cancel(id(cancelled)).without_reply())
            }
            (Some(first), Some(key)) => {
                Incoming::Request(match (first.strip_suffix('!'), words.next()) {
                    (Some(first), _) => Envelope::new(key).id(id(first)).unique(again),
                    (None, None) => Envelope::new(key).id(id(first)),
                    (None, Some("none")) => Envelope::new(key).id(id(first)).part("no part of it"),
                    (None, Some(rest)) => Envelope::new(key).id(id(first)).part(rest),
                })
            }
            (Some("hi"), _) => Incoming::Answer("hello".into()),
            (Some("bye"), _) => Incoming::Close(Close::new(CloseCode::POLICY, "as asked")),
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

fn again(id: &RequestId) -> Close {
    Close::new(CloseCode::POLICY, format!("{id} again"))
}

async fn kind(message: Message) -> String {
    let kind = if message.is_text() { "text" } else { "binary" };
    format!("{kind} {}", String::from_utf8_lossy(message.as_bytes()))
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
                "kind" => kind,
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
    client.send(vec![0xff]).await;
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
async fn a_target_gets_the_part_of_a_message_whether_it_is_a_slice_of_it_or_not() {
    let (server, _gate) = numbered().await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("1 kind a b").await, "1 = text a b");
    assert_eq!(client.ask("2 kind").await, "2 = text 2 kind");
    assert_eq!(client.ask("3 kind none").await, "3 = text no part of it");
    for (message, answer) in [
        ("4 kind a b", "4 = binary a b"),
        ("5 kind none", "5 = binary no part of it"),
    ] {
        client.send(message.as_bytes().to_vec()).await;
        assert_eq!(client.text().await, answer);
    }
}

#[tokio::test]
async fn a_protocol_cancels_with_an_answer_or_without_one() {
    let (server, gate) = numbered().await;
    let mut client = server.connect("/").await;
    for (cancel, answer) in [("x 1", Some("1 ! cancelled")), ("xx 1", None)] {
        client.send("1 wait").await;
        until("it runs", || gate.running() == 1).await;
        client.send(cancel).await;
        if let Some(answer) = answer {
            assert_eq!(client.text().await, answer);
        }
        until("it is cancelled", || gate.running() == 0).await;
    }
    client.silent().await;
}

#[tokio::test]
async fn a_protocol_closes_the_connection_of_a_client_that_uses_a_unique_id_again() {
    let (server, gate) = numbered().await;
    let mut client = server.connect("/").await;
    client.send("1! wait").await;
    until("it runs", || gate.running() == 1).await;
    assert_eq!(client.ask("2! text").await, "2 = text");
    assert_eq!(client.ask("2! text").await, "2 = text");
    client.send("1! text").await;
    assert_eq!(client.closed().await, (1008, "1 again".to_owned()));
}

#[tokio::test]
async fn the_answers_of_a_batch_are_messages_of_their_own_unless_the_protocol_joins_them() {
    let (server, gate) = numbered().await;
    let mut client = server.connect("/").await;
    let batch = "1 wait\n2 other\nhi\n- text\nnothing\n3! two\n3! text\n4 kind a b";
    client.send(batch).await;
    until("it runs", || gate.running() == 1).await;
    gate.open.add_permits(1);
    for answer in [
        "1 = done",
        "2 ! no_route",
        "hello",
        "3 = one",
        "3 = two",
        "3 = text",
        "4 = text a b",
    ] {
        assert_eq!(client.text().await, answer);
    }
    client.silent().await;
}

#[tokio::test]
async fn a_batch_cancels_what_runs_before_its_requests_begin() {
    let (server, gate) = numbered().await;
    let mut client = server.connect("/").await;
    client.send("1 wait").await;
    until("it runs", || gate.running() == 1).await;
    assert_eq!(client.ask("2 text\nx 1").await, "1 ! cancelled");
    assert_eq!(client.text().await, "2 = text");
    client.send("1 wait").await;
    until("it runs", || gate.running() == 1).await;
    client.send("xx 1\nx 2").await;
    until("it is cancelled", || gate.running() == 0).await;
    client.silent().await;
}

#[tokio::test]
async fn a_batch_with_a_close_closes_the_connection() {
    let (server, _gate) = numbered().await;
    let mut client = server.connect("/").await;
    client.send("1 text\nbye").await;
    assert_eq!(client.closed().await, (1008, "as asked".to_owned()));
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
