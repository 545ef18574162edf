//! From a message of JSON-RPC to the parts of a call, in one pass over its text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Error, Message, RequestId, Result,
    parser::{Invalid, Scanner, not_json, string},
};

/// What a message is.
pub(super) enum Read<'m> {
    Call(Called<'m>),
    /// The calls of a batch, each as a message.
    Batch(Vec<Message>),
    /// `$/cancelRequest`, a notification.
    Cancel(RequestId),
}

/// A call, valid or not.
#[derive(Default)]
pub(super) struct Called<'m> {
    pub(super) method: Cow<'m, str>,
    pub(super) params: Option<&'m str>,
    /// `None` if there is none, or if it cannot be an id.
    pub(super) id: Option<RequestId>,
    pub(super) invalid: Option<Error>,
}

/// Reads a message.
#[inline]
pub(super) fn read(message: &Message, max_batch: usize) -> Result<Read<'_>> {
    let text = match message {
        Message::Text(text) => text.as_str(),
        Message::Binary(data) => std::str::from_utf8(data)
            .map_err(|_| Error::unreadable("a binary message must be JSON in UTF-8"))?,
    };
    let start = Scanner::new(text).skip_space();
    match start.after(b'{') {
        Some(inside) => match members(text, inside) {
            Ok(members) => Ok(members.read()),
            Err(Invalid) => Err(not_json(text)),
        },
        None if let Some(inside) = start.after(b'[') => batch(message, text, inside, max_batch),
        None => Err(match start.value().and_then(Scanner::end) {
            Ok(()) => Error::bad_request("expected a JSON object"),
            Err(Invalid) => not_json(text),
        }),
    }
}

#[inline(never)]
fn batch<'m>(message: &Message, text: &str, inside: Scanner<'_>, max: usize) -> Result<Read<'m>> {
    let mut calls = Vec::new();
    let mut count = 0;
    let scanned = inside.elements(|scanner, _| {
        let start = scanner.skip_space();
        let end = start.value()?;
        count += 1;
        if count <= max {
            calls.push(text.len() - start.left()..text.len() - end.left());
        }
        Ok(end)
    });
    match scanned.and_then(Scanner::end) {
        Err(Invalid) => Err(not_json(text)),
        Ok(()) if count == 0 => Err(Error::bad_request("a batch without calls")),
        Ok(()) if count > max => Err(Error::bad_request(format!(
            "a batch of {count} calls; at most {max} are allowed"
        ))),
        Ok(()) => Ok(Read::Batch(
            calls
                .into_iter()
                .filter_map(|range| message.slice(range))
                .collect(),
        )),
    }
}

/// The members of an envelope, as written.
#[derive(Default)]
struct Members<'m> {
    jsonrpc: Option<&'m str>,
    method: Option<&'m str>,
    params: Option<&'m str>,
    id: Option<&'m str>,
    is_repeated: bool,
}

#[inline]
fn members<'m>(text: &'m str, inside: Scanner<'m>) -> Result<Members<'m>, Invalid> {
    let mut members = Members::default();
    let end = inside.members(|scanner, name| {
        let start = scanner.skip_space();
        let end = start.value()?;
        let member = match &*name {
            b"jsonrpc" => &mut members.jsonrpc,
            b"method" => &mut members.method,
            b"params" => &mut members.params,
            b"id" => &mut members.id,
            _ => return Ok(end),
        };
        let value = &text[text.len() - start.left()..text.len() - end.left()];
        members.is_repeated |= member.replace(value).is_some();
        Ok(end)
    })?;
    end.end()?;
    Ok(members)
}

impl<'m> Members<'m> {
    #[inline]
    fn read(self) -> Read<'m> {
        let call = self.call();
        if call.method == CANCEL
            && call.id.is_none()
            && let Some(id) = call.params.and_then(cancelled)
        {
            return Read::Cancel(id);
        }
        Read::Call(call)
    }

    #[inline]
    fn call(self) -> Called<'m> {
        let id = self.id.and_then(id);
        let invalid = |error| Called {
            id: self.id.and_then(self::id),
            invalid: Some(error),
            ..Called::default()
        };
        if self.is_repeated {
            return Called {
                invalid: Some(Error::bad_request("a member occurs twice")),
                ..Called::default()
            };
        }
        if self.jsonrpc != Some("\"2.0\"") {
            return invalid(Error::bad_request("`jsonrpc` must be \"2.0\""));
        }
        if self.id.is_some() && id.is_none() {
            return invalid(Error::bad_request(
                "`id` must be a string, a number or null",
            ));
        }
        let Some(method) = self.method.and_then(string) else {
            return invalid(Error::NoKey("expected a string as `method`".into()));
        };
        let params = self.params.filter(|params| *params != "null");
        if params.is_some_and(|params| !params.starts_with(['{', '['])) {
            return invalid(Error::bad_request("`params` must be an object or an array"));
        }
        Called {
            method,
            params,
            id,
            invalid: None,
        }
    }
}

const CANCEL: &str = "$/cancelRequest";

/// The id in the parameters of a cancellation.
#[cold]
fn cancelled(params: &str) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Cancelled<'p> {
        #[serde(borrow)]
        id: &'p RawValue,
    }
    let Cancelled { id } = serde_json::from_str(params).ok()?;
    self::id(id.get())
}

/// An id as it is written.
#[inline]
fn id(raw: &str) -> Option<RequestId> {
    match raw.as_bytes().first()? {
        b'"' | b'-' | b'0'..=b'9' | b'n' => {
            Some(RequestId::short(raw).unwrap_or_else(|| RequestId::new(raw.to_owned())))
        }
        _ => None,
    }
}
