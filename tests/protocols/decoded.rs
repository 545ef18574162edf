//! Messages that are decoded before a parser or a protocol reads them.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::stream;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Decoded, Error, JsonRpc, RequestId, prelude::*};
use wasabi_tests::{Gate, serve, until};

/// Text from gzip, of at most 1 000 bytes.
fn gunzip(message: &Message, _from: &Connection) -> Result<Message> {
    let Message::Binary(packed) = message else {
        return Err(Error::bad_request("expected gzip"));
    };
    let mut text = String::new();
    let read = GzDecoder::new(&packed[..])
        .take(1001)
        .read_to_string(&mut text);
    match read {
        Ok(..=1000) => Ok(text.into()),
        Ok(_) => Err(Error::bad_request("too large")),
        Err(_) => Err(Error::bad_request("not gzip")),
    }
}

fn gzip(text: &str) -> Frame {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    Frame::binary(encoder.finish().expect("memory"))
}

/// `+7 key` is a request, `-7` cancels it.
fn signed(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message
        .as_text()
        .ok_or(Error::bad_request("expected text"))?;
    let id = |id: &str| RequestId::new(id.to_owned());
    if let Some(cancelled) = text.strip_prefix('-') {
        return Ok(Some(Envelope::cancel(id(cancelled))));
    }
    let request = text.strip_prefix('+').and_then(|text| text.split_once(' '));
    let (of, key) = request.ok_or(Error::bad_request("expected `+id key` or `-id`"))?;
    Ok(Some(Envelope::new(key).id(id(of))))
}

#[tokio::test]
async fn the_key_and_the_id_inside_count() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        parser = Decoded::with(gunzip, signed),
        errors = Json,
        match key {
            "say" => async |text: Text| text,
            "hold" => move || {
                let held = held.clone();
                async move { held.pass().await }
            },
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send(gzip("+6 say")).await;
    assert_eq!(client.text().await, "+6 say");
    client.send(gzip("+7 shout")).await;
    let unknown = client.json().await;
    assert_eq!(
        (&unknown["error"]["code"], &unknown["id"]),
        (&json!("no_route"), &json!(7))
    );
    client.send(gzip("+8 hold")).await;
    until("it runs", || gate.running() == 1).await;
    client.send(gzip("-8")).await;
    let cancelled = client.json().await;
    assert_eq!(
        (&cancelled["error"]["code"], &cancelled["id"]),
        (&json!("cancelled"), &json!(8))
    );
    until("it is dropped", || gate.running() == 0).await;
}

/// Answers with what it sees of the request.
#[middleware]
async fn seen(req: Request, next: impl Next) -> Result<Reply> {
    let text = req.message().as_text().unwrap_or_default();
    let id = req.id().map_or("-", RequestId::as_str);
    let seen = format!("{} {id} {} {text}", req.key(), req.route());
    Ok(next.run(req).await?.map(move |_| seen.clone().into()))
}

#[tokio::test]
async fn a_middleware_around_the_match_sees_the_message_inside_and_its_key_id_and_route() {
    let server = serve(gateway!(channel(
        "/",
        parser = Decoded::with(gunzip, signed),
        middleware = [seen],
        match key {
            "say" | "shout" => async || "said",
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send(gzip("+6 say")).await;
    assert_eq!(client.text().await, "say 6 say | shout +6 say");
}

#[tokio::test]
async fn a_batch_inside_is_decoded_once() {
    let server = serve(gateway!(channel(
        "/",
        protocol = Decoded::with(gunzip, JsonRpc::new()),
        match key {
            "one" => async || Json(1),
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let call = |id| json!({"jsonrpc": "2.0", "id": id, "method": "one"});
    let answer = |id| json!({"jsonrpc": "2.0", "id": id, "result": 1});
    client
        .send(gzip(&json!([call(7), call(8)]).to_string()))
        .await;
    assert_eq!(client.json().await, json!([answer(7), answer(8)]));
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_invalid_and_more_than_100_a_second_close() {
    let server = serve(gateway!(channel(
        "/",
        parser = Decoded::with(gunzip, JsonKey::at("/do")),
        async || "never",
    )))
    .await;
    let mut client = server.connect("/").await;
    for (sent, message) in [
        (Frame::text("{}"), "expected gzip"),
        (Frame::binary("{}"), "not gzip"),
        (gzip(&"x".repeat(5000)), "too large"),
    ] {
        client.send(sent).await;
        let error = client.json().await;
        assert_eq!(
            (&error["error"]["code"], &error["error"]["message"]),
            (&json!("bad_request"), &json!(message))
        );
    }
    for _ in 0..98 {
        client.send(Frame::text("{}")).await;
    }
    loop {
        match client.next().await {
            Frame::Text(_) => {}
            Frame::Close(close) => {
                assert_eq!(u16::from(close.expect("a code").code), 1008);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_connection_may_say_how() {
    let server = serve(gateway!(channel(
        "/{from}",
        parser = Decoded::with(
            |message: &Message, from: &Connection| {
                let text = message.as_text().unwrap_or_default();
                let word = from.uri().path().trim_start_matches('/');
                Ok(text.replace(word, "echo").into())
            },
            JsonKey::at("/do"),
        ),
        match key {
            "echo" => async |text: Text| text,
            _ => NoRoute,
        },
    )))
    .await;
    for word in ["one", "two"] {
        let mut client = server.connect(&format!("/{word}")).await;
        let echo = client.ask_json(json!({"do": word})).await;
        assert_eq!(echo, json!({"do": "echo"}));
    }
}

#[tokio::test]
async fn a_panic_of_the_function_is_an_internal_error() {
    let server = serve(gateway!(channel(
        "/",
        parser = Decoded::with(
            |message: &Message, _: &Connection| match message.as_text() {
                Some("panic") => panic!("a function"),
                _ => Ok(message.clone()),
            },
            Raw,
        ),
        async |text: Text| Replies(stream::iter([text])),
    )))
    .await;
    let mut client = server.connect("/").await;
    assert!(client.ask("panic").await.contains("internal"));
    assert_eq!(client.ask("calm").await, "calm");
}
