//! From a message of JSON-RPC to the parts of a call, in one pass over its text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Envelope, Error, Incoming, Message, RequestId, Result,
    parser::{Invalid, Scanner, not_json, string},
};

/// Reads a message.
#[inline]
pub(super) fn read(message: &Message, max_batch: usize) -> Result<Incoming<'_>> {
    let text = match message {
        Message::Text(text) => text.as_str(),
        Message::Binary(data) => std::str::from_utf8(data)
            .map_err(|_| Error::unreadable("a binary message must be JSON in UTF-8"))?,
    };
    let start = Scanner::new(text).skip_space();
    match start.after(b'{') {
        Some(inside) => match members(text, inside) {
            Ok((members, end)) if let Ok(()) = end.end() => Ok(members.read()),
            _ => Err(not_json(text)),
        },
        None if let Some(inside) = start.after(b'[') => batch(message, text, inside, max_batch),
        None => Err(match start.value().and_then(Scanner::end) {
            Ok(()) => Error::bad_request("expected a JSON object"),
            Err(Invalid) => not_json(text),
        }),
    }
}

#[inline(never)]
fn batch<'m>(
    message: &Message,
    text: &'m str,
    inside: Scanner<'m>,
    max: usize,
) -> Result<Incoming<'m>> {
    let mut elements = Vec::new();
    let mut count = 0;
    let scanned = inside.elements(|scanner, _| {
        let start = scanner.skip_space();
        count += 1;
        if count > max {
            return start.value();
        }
        let (read, end) = element(text, start)?;
        let range = text.len() - start.left()..text.len() - end.left();
        elements.extend(message.slice(range).map(|part| (part, read)));
        Ok(end)
    });
    match scanned.and_then(Scanner::end) {
        Err(Invalid) => Err(not_json(text)),
        Ok(()) if count == 0 => Err(Error::bad_request("a batch without calls")),
        Ok(()) if count > max => Err(Error::bad_request(format!(
            "a batch of {count} calls; at most {max} are allowed"
        ))),
        Ok(()) => Ok(Incoming::Elements(elements)),
    }
}

/// Reads an element of a batch.
#[inline(always)]
fn element<'m>(
    text: &'m str,
    start: Scanner<'m>,
) -> Result<(Result<Incoming<'m>>, Scanner<'m>), Invalid> {
    if let Some(inside) = start.after(b'{') {
        let (members, end) = members(text, inside)?;
        return Ok((Ok(members.read()), end));
    }
    let wrong = match start.after(b'[') {
        Some(_) => "a batch inside a batch",
        None => "expected a JSON object",
    };
    Ok((Err(Error::bad_request(wrong)), start.value()?))
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

/// Reads the members of an object after its `{`.
#[inline]
fn members<'m>(text: &'m str, inside: Scanner<'m>) -> Result<(Members<'m>, Scanner<'m>), Invalid> {
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
    Ok((members, end))
}

impl<'m> Members<'m> {
    #[inline]
    fn read(self) -> Incoming<'m> {
        let id = self.id.and_then(id);
        let params = self.params.filter(|params| *params != "null");
        let Some(method) = self.method.and_then(string).filter(|_| {
            !self.is_repeated
                && self.jsonrpc == Some("\"2.0\"")
                && self.id.is_some() == id.is_some()
                && params.is_none_or(is_structured)
        }) else {
            return Incoming::Request(self.invalid(id));
        };
        if method == CANCEL
            && id.is_none()
            && let Some(id) = params.and_then(cancelled)
        {
            return Incoming::Cancel(id);
        }
        Incoming::Request(Envelope::call(method, id, params))
    }

    /// What is wrong with a message that is no call.
    #[cold]
    fn invalid(self, id: Option<RequestId>) -> Envelope<'m> {
        // It is not clear which of two ids is meant.
        let id = id.filter(|_| !self.is_repeated);
        let error = if self.is_repeated {
            Error::bad_request("a member occurs twice")
        } else if self.jsonrpc != Some("\"2.0\"") {
            Error::bad_request("`jsonrpc` must be \"2.0\"")
        } else if self.id.is_some() && id.is_none() {
            Error::bad_request("`id` must be a string, a number or null")
        } else if self.method.and_then(string).is_none() {
            Error::NoKey("expected a string as `method`".into())
        } else {
            Error::bad_request("`params` must be an object or an array")
        };
        let envelope = Envelope::invalid(error).content_type("application/json");
        match id {
            Some(id) => envelope.id(id),
            None => envelope,
        }
    }
}

fn is_structured(params: &str) -> bool {
    params.starts_with(['{', '['])
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
