//! What the client gets.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json, value::RawValue};

use crate::{Error, Message, Reply, RequestId, Result, error_format::data, reply::Body};

/// A string as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn ack(payload: Option<&str>) -> String {
    with_payload("connection_ack", payload)
}

pub(super) fn pong(payload: Option<&str>) -> String {
    with_payload("pong", payload)
}

fn with_payload(kind: &str, payload: Option<&str>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"{kind}","payload":{payload}}}"#),
        None => format!(r#"{{"type":"{kind}"}}"#),
    }
}

pub(super) fn error(id: &RequestId, error: &Error) -> String {
    let errors = json!([{ "message": error.client_message(), "extensions": data(error) }]);
    format!(
        r#"{{"id":{},"type":"error","payload":{errors}}}"#,
        quoted(id.as_str())
    )
}

fn next(id: &str, result: &Message) -> Result<Message> {
    match serde_json::from_slice::<&RawValue>(result.as_bytes()) {
        Ok(payload) if payload.get().starts_with('{') => Ok(Message::text(format!(
            r#"{{"id":{id},"type":"next","payload":{}}}"#,
            payload.get()
        ))),
        _ => Err(Error::internal(
            "a reply to a GraphQL operation is a JSON object with `data` or `errors`",
        )),
    }
}

/// The results of an operation, and its end.
pub(super) fn results(of: &RequestId, reply: Reply) -> Result<Reply> {
    let id = quoted(of.as_str());
    let complete = Message::text(format!(r#"{{"id":{id},"type":"complete"}}"#));
    Ok(match reply.into_body() {
        Body::None => Reply::message(complete),
        Body::One(result) => Reply::messages(vec![next(&id, &result)?, complete]),
        Body::Many(results) => {
            let results = results.map(|result| next(&id, &result));
            let all = results.chain([Ok(complete)]);
            Reply::messages(all.collect::<Result<_>>()?)
        }
        Body::Stream(results) => {
            let results = results.map(move |result| next(&id, &result?));
            Reply::stream(results.chain(stream::iter([Ok(complete)])))
        }
        Body::Gated(gated) => return gated.try_map(|reply| self::results(of, reply)),
    })
}
