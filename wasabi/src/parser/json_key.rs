//! The request parser of JSON channels: key and id at fixed places.

mod pointer;
mod scan;

use std::{borrow::Cow, ops::Range};

use serde::de::IgnoredAny;

use self::{
    pointer::{Path, Pointer},
    scan::{Invalid, Scanner},
};
use crate::{Envelope, Error, ErrorFormat, Message, Parser, RequestId, Result, Text};

/// Reads the routing key and the id from places in a JSON message that two JSON pointers (RFC 6901) name.
///
/// ```
/// use wasabi::JsonKey;
///
/// // {"action": "order.place", "req_id": 7, ..}
/// let parser = JsonKey::at("/action").id("/req_id");
/// // {"header": {"topic": "quote"}, "ids": ["a-1"], ..}
/// let nested = JsonKey::at("/header/topic").id("/ids/0");
/// # drop((parser, nested));
/// ```
///
/// * The key is a JSON string, without its escapes; a number or a boolean is taken as it is written (`7`,
///   `true`). A message without a key, or with another value in its place, is answered `bad_request`, unless there
///   is a key for it ([`or`](Self::or)).
/// * The id is a JSON string or number and goes back as it was written. Anything else there is no id.
/// * Of a repeated member the last one counts, as in serde_json and in browsers, so that the gateway routes by
///   the key that the backend will see.
/// * The message may be text or binary; a binary one must be UTF-8.
/// * A message that is not JSON as a whole, or has values nested more than 128 deep, is answered `bad_request`
///   without an id.
/// * Error replies are JSON with the id at the same pointer, unless the channel sets `errors`.
///
/// One pass over the text, no tree, no allocation: key and id are slices of the message. Only a key, or the
/// name of a member on the way to it, that contains escapes is copied.
#[derive(Debug, Clone)]
pub struct JsonKey {
    key: Pointer,
    id: Option<Pointer>,
    or: Option<&'static str>,
}

impl JsonKey {
    /// The key is at this pointer; there is no id.
    ///
    /// # Panics
    ///
    /// When the pointer does not start with `/`, or has a `~` that is not a part of `~0` or `~1`.
    #[track_caller]
    pub fn at(pointer: impl AsRef<str>) -> Self {
        Self {
            key: Pointer::new(pointer.as_ref()),
            id: None,
            or: None,
        }
    }

    /// The id is at this pointer.
    ///
    /// # Panics
    ///
    /// When the pointer does not start with `/`, or has a `~` that is not a part of `~0` or `~1`.
    #[must_use]
    #[track_caller]
    pub fn id(mut self, pointer: impl AsRef<str>) -> Self {
        self.id = Some(Pointer::new(pointer.as_ref()));
        self
    }

    /// Messages without a key have this one, whether they are JSON or not: for gateways that answer some messages
    /// themselves and pass on the others.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// async fn aggregate(text: Text) -> Text {
    ///     text
    /// }
    ///
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     parser = JsonKey::at("/method").or("passthrough"),
    ///     match key {
    ///         "aggregate" => aggregate,
    ///         _ => WebSocket::connect("ws://legacy:9000/"),
    ///     },
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn or(mut self, key: &'static str) -> Self {
        self.or = Some(key);
        self
    }

    #[cold]
    fn no_key(&self) -> Error {
        Error::bad_request(format!(
            "no routing key, a string, at `{}`",
            self.key.as_str()
        ))
    }
}

impl Parser for JsonKey {
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Binary(data) => match (std::str::from_utf8(data), self.or) {
                (Ok(text), _) => text,
                (Err(_), Some(key)) => return Ok(Some(Envelope::from_static(key))),
                (Err(_), None) => {
                    return Err(Error::bad_request("a binary message must be JSON in UTF-8"));
                }
            },
        };
        let wanted = [
            Some(self.key.path()),
            self.id.as_ref().map(|pointer| pointer.path()),
        ];
        let [key, id] = match (find(text, wanted), self.or) {
            (Ok(found), _) => found,
            (Err(Invalid), Some(key)) => return Ok(Some(Envelope::from_static(key))),
            (Err(Invalid), None) => return Err(not_json(text)),
        };
        let (key, is_static, invalid) = match (key.and_then(|range| scalar(&text[range])), self.or)
        {
            (Some(key), _) => (key, None, None),
            (None, Some(key)) => (Cow::Borrowed(key), Some(key), None),
            (None, None) => (Cow::Borrowed(""), None, Some(self.no_key())),
        };
        // Not by its methods: each would move all of it.
        Ok(Some(Envelope {
            key,
            is_static,
            id: id.and_then(|range| request_id(message, range)),
            content_type: Some("application/json"),
            value: None,
            invalid,
        }))
    }

    fn errors(&self) -> ErrorFormat {
        match &self.id {
            Some(pointer) => ErrorFormat::json_id_at(pointer.as_str()),
            None => ErrorFormat::json(),
        }
    }
}

/// Reads ids from JSON messages, whatever else they are.
#[derive(Debug, Clone)]
pub(crate) struct IdAt(Pointer);

impl IdAt {
    /// The id is at this JSON pointer.
    ///
    /// # Panics
    ///
    /// When the text is no JSON pointer.
    #[track_caller]
    pub(crate) fn new(pointer: &str) -> Self {
        Self(Pointer::new(pointer))
    }

    /// The id, a string or a number, of a message that is JSON.
    pub(crate) fn find(&self, message: &Message) -> Option<RequestId> {
        let text = std::str::from_utf8(message.as_bytes()).ok()?;
        let [_, id] = find(text, [None, Some(self.0.path())]).ok()?;
        request_id(message, id?)
    }
}

/// One path for the key and one for the id; `None` where this part of the text is not on the way to it.
type Wanted<'p> = [Option<Path<'p>>; 2];

/// Where the values stand in the text.
type Found = [Option<Range<usize>>; 2];

fn find(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    let mut found = Found::default();
    let mut scanner = Scanner::new(text);
    walk(&mut scanner, wanted, &mut found)?;
    scanner.end()?;
    Ok(found)
}

/// Reads one value. It calls itself only along a path, so no deeper than the pointers are long.
fn walk(scanner: &mut Scanner<'_>, wanted: Wanted<'_>, found: &mut Found) -> Result<(), Invalid> {
    let on_the_way = wanted.iter().flatten().any(|path| !path.is_empty());
    let start = scanner.start_of_value();
    if on_the_way && scanner.eat(b'{') {
        scanner.members(|scanner, name| {
            let inner = wanted.map(|path| path?.member(&name));
            descend(scanner, inner, found)
        })?;
    } else if on_the_way && scanner.eat(b'[') {
        scanner.elements(|scanner, index| {
            let inner = wanted.map(|path| path?.element(index));
            descend(scanner, inner, found)
        })?;
    } else {
        scanner.skip_value()?;
    }
    for (found, path) in found.iter_mut().zip(wanted) {
        if path.is_some_and(|path| path.is_empty()) {
            *found = Some(start..scanner.position());
        }
    }
    Ok(())
}

fn descend(
    scanner: &mut Scanner<'_>,
    wanted: Wanted<'_>,
    found: &mut Found,
) -> Result<(), Invalid> {
    if let [None, None] = wanted {
        return scanner.skip_value();
    }
    // What an earlier member of the same name held is void.
    for (found, path) in found.iter_mut().zip(wanted) {
        if path.is_some() {
            *found = None;
        }
    }
    walk(scanner, wanted, found)
}

/// A routing key from the text of a JSON value.
fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' if raw.as_bytes().contains(&b'\\') => serde_json::from_str(raw).ok().map(Cow::Owned),
        b'"' => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

fn request_id(message: &Message, range: Range<usize>) -> Option<RequestId> {
    let raw = message.as_bytes().get(range.clone())?;
    if !matches!(raw.first()?, b'"' | b'-' | b'0'..=b'9') {
        return None;
    }
    if let Some(id) = RequestId::short(std::str::from_utf8(raw).ok()?) {
        return Some(id);
    }
    let id = match message {
        Message::Text(text) => text.slice(range)?,
        Message::Binary(data) => Text::try_from(data.slice(range)).ok()?,
    };
    Some(RequestId::new(id))
}

/// The mistake in words: a second parse, for those that have made one.
fn not_json(text: &str) -> Error {
    Error::bad_request(match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => format!("not JSON: {error}"),
        Ok(_) => "values are nested too deep".to_owned(),
    })
}

#[cfg(test)]
mod tests;
