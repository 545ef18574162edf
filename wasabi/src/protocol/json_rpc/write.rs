//! Responses and notifications of JSON-RPC, as text.

use std::{borrow::Cow, fmt::Write};

use serde_json::{Value, json, value::RawValue};

use crate::{
    Error, Message, Reply, RequestId, Result, Text,
    error_format::data,
    parser::{Invalid, Scanner},
};

/// What the id of a subscription's slot begins with. The id of a request never does.
pub(super) const SUBSCRIPTION: &str = r#"{"subscription":"#;

/// The response with the result of a request.
#[inline]
pub(super) fn result(id: &RequestId, message: &Message) -> Result<Message> {
    Ok(response(id, &value(message)?))
}

/// The same, of a result that is JSON.
#[inline]
pub(super) fn response(id: &RequestId, json: &str) -> Message {
    Message::Text(Text::joined([
        r#"{"jsonrpc":"2.0","id":"#,
        id.as_str(),
        r#","result":"#,
        json,
        "}",
    ]))
}

/// The response with several results, as an array.
pub(super) fn results(id: &RequestId, messages: &[Message]) -> Result<Message> {
    let mut text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":["#);
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&value(message)?);
    }
    text.push_str("]}");
    Ok(Message::text(text))
}

/// The responses of a batch, as an array.
pub(super) fn batch(replies: &[Message]) -> Message {
    let bytes: usize = replies.iter().map(|reply| reply.len() + 1).sum();
    let mut text = String::with_capacity(bytes + 1);
    for (index, reply) in replies.iter().enumerate() {
        text.push(if index == 0 { '[' } else { ',' });
        text.push_str(reply.as_text().unwrap_or("null"));
    }
    text.push(']');
    Message::text(text)
}

/// A notification with a message of a subscription.
pub(super) fn notification(method: &str, subscription: &str, message: &Message) -> Result<Message> {
    let mut text = opened(method, subscription);
    text.push_str(r#","result":"#);
    text.push_str(&value(message)?);
    text.push_str("}}");
    Ok(Message::text(text))
}

fn opened(method: &str, subscription: &str) -> String {
    let method = Value::from(method);
    format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{{"subscription":{subscription}"#)
}

/// A message as a JSON value: one that is JSON as it is, other text as a string.
fn value(message: &Message) -> Result<Cow<'_, str>> {
    Ok(match message {
        Message::Text(value) if is_json(value) => Cow::Borrowed(value),
        Message::Text(value) => Cow::Owned(Value::from(value.as_str()).to_string()),
        Message::Binary(data) => std::str::from_utf8(data)
            .ok()
            .filter(|value| is_json(value))
            .map(Cow::Borrowed)
            .ok_or_else(|| Error::internal("binary data cannot be a result of JSON-RPC"))?,
    })
}

fn is_json(text: &str) -> bool {
    let scanned: Result<(), Invalid> = Scanner::new(text).value().and_then(Scanner::end);
    scanned.is_ok()
}

/// The error of a request, of all requests of a batch, or of a subscription.
#[cold]
pub(super) fn error(error: &Error, id: Option<&RequestId>, notification: &str) -> Reply {
    let object = object(error);
    let id = id.map_or("null", RequestId::as_str);
    if id.starts_with('[') {
        // Each call of a batch has failed.
        let ids: Vec<&RawValue> = serde_json::from_str(id).unwrap_or_default();
        let errors = ids.iter().map(|id| one(id.get(), &object));
        let errors: Vec<_> = errors.map(Message::text).collect();
        return Reply::message(batch(&errors));
    }
    if let Some(subscription) = id.strip_prefix(SUBSCRIPTION) {
        // The client has unsubscribed, and gets a response to that.
        if let Error::Cancelled = error {
            return Reply::none();
        }
        let mut text = opened(notification, subscription.trim_end_matches('}'));
        let _ = write!(text, r#","error":{object}}}}}"#);
        return Reply::message(text);
    }
    Reply::message(one(id, &object))
}

fn one(id: &str, object: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{object}}}"#)
}

fn object(error: &Error) -> Value {
    json!({ "code": code(error), "message": error.client_message(), "data": data(error) })
}

fn code(error: &Error) -> i64 {
    match error {
        Error::Unreadable(_) => -32700,
        Error::BadRequest(_) | Error::NoKey(_) => -32600,
        Error::NoRoute => -32601,
        Error::InvalidParams(_) => -32602,
        Error::Internal(_) => -32603,
        Error::Application { code, .. } => code.parse().unwrap_or(OURS),
        _ => OURS,
    }
}

/// The first code that the specification leaves to servers.
const OURS: i64 = -32000;
