//! The request parser of JSON channels: key and id at fixed places.

mod pointer;
mod scan;

use std::{borrow::Cow, ops::Range};

use serde::de::IgnoredAny;

use self::{
    pointer::{Path, Pointer},
    scan::{Invalid, Scanner},
};
use crate::{
    Envelope, Error, ErrorFormat, Message, Parser, RequestId, Result, Text, mistakes::Mistakes,
};

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
/// * Of a repeated member the last one counts, as in serde_json and in browsers. Other parsers take the first one, or
///   do not look at the case of letters: where what is behind the gateway must see the same key, messages that can be
///   read in two ways are refused ([`strict`](Self::strict)).
/// * The message may be text or binary; a binary one must be UTF-8.
/// * A message that is not JSON as a whole, or has values nested more than 128 deep, is answered `bad_request`
///   without an id.
/// * Error replies are JSON with the id at the same pointer, unless the channel sets `errors`.
///
/// One pass over the text, no tree, no allocation: key and id are slices of the message. Only a key, or the
/// name of a member on the way to it, that contains escapes is copied.
#[derive(Debug, Clone)]
pub struct JsonKey {
    /// `None` if it is a mistake.
    key: Option<Pointer>,
    id: Option<Pointer>,
    or: Option<&'static str>,
    not_json: Option<&'static str>,
    /// As long as nobody has said: where there is a key for messages without one.
    strict: Option<bool>,
    mistakes: Mistakes,
}

impl JsonKey {
    /// The key is at this pointer; there is no id. A text that is not a JSON pointer is a mistake that keeps the gateway
    /// from being served.
    pub fn at(pointer: impl AsRef<str>) -> Self {
        let mut mistakes = Mistakes::default();
        Self {
            key: mistakes.keep(Pointer::parse(pointer.as_ref())),
            id: None,
            or: None,
            not_json: None,
            strict: None,
            mistakes,
        }
    }

    /// The id is at this pointer. A text that is not a JSON pointer is a mistake that keeps the gateway from being served.
    #[must_use]
    pub fn id(mut self, pointer: impl AsRef<str>) -> Self {
        self.id = self.mistakes.keep(Pointer::parse(pointer.as_ref()));
        self
    }

    /// JSON messages without a key have this one: for gateways that answer some messages themselves and pass on the
    /// others. The key is missing, or `null`.
    ///
    /// What is not JSON is answered `bad_request` all the same, since it may be JSON for a parser that takes more than
    /// RFC 8259 allows, and then have a key; [`not_json`](Self::not_json) lets it pass. Messages that can be read in two
    /// ways are refused too, as [`strict`](Self::strict) says. An array of requests, as in JSON-RPC, has no key.
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

    /// Messages that are not JSON have this key: binary ones, text of another kind.
    ///
    /// Not JSON is whatever RFC 8259 does not allow, values nested more than 128 deep, and what is not UTF-8. Other
    /// parsers are not that strict, and see a key where there is none here: in messages with a byte order mark, `NaN`, a
    /// comment, in UTF-16. Do not lead such messages to an upstream that reads them as JSON, if any of its keys is to be
    /// kept from clients.
    #[must_use]
    pub fn not_json(mut self, key: &'static str) -> Self {
        self.not_json = Some(key);
        self
    }

    /// Whether messages are refused, as `bad_request`, in which another parser may find another key. If not set, that
    /// is so with [`or`](Self::or), whose messages mostly go on to an upstream, and not otherwise.
    ///
    /// Refused are those in which a member on the way to the key is there twice, or is written in another case
    /// (`Method` or `METHOD` for `method`, alone or beside it), and with `or` those that have an object or an array, or
    /// half a surrogate pair, in the place of the key.
    ///
    /// ```
    /// use wasabi::JsonKey;
    ///
    /// // What is behind `_ => ..` may read `{"action": "quote", "Action": "admin"}` in another way.
    /// let parser = JsonKey::at("/action").strict(true);
    /// # drop(parser);
    /// ```
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }

    fn is_strict(&self) -> bool {
        self.strict.unwrap_or(self.or.is_some())
    }

    #[cold]
    fn ambiguous(&self) -> Error {
        Error::bad_request(format!(
            "`{}` is there twice, or in another case",
            self.key_at()
        ))
    }

    #[cold]
    fn no_key(&self) -> Error {
        Error::bad_request(format!("no routing key, a string, at `{}`", self.key_at()))
    }

    fn key_at(&self) -> &str {
        self.key.as_ref().map_or("", Pointer::as_str)
    }
}

impl Parser for JsonKey {
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Binary(data) => match (std::str::from_utf8(data), self.not_json) {
                (Ok(text), _) => text,
                (Err(_), Some(key)) => return Ok(Some(Envelope::from_static(key))),
                (Err(_), None) => {
                    return Err(Error::bad_request("a binary message must be JSON in UTF-8"));
                }
            },
        };
        let wanted = [
            self.key.as_ref().map(Pointer::path),
            self.id.as_ref().map(|pointer| pointer.path()),
        ];
        let strict = self.is_strict();
        let found = match strict {
            false => find(text, wanted),
            true => find_strictly(text, wanted),
        };
        let Found {
            values: [key, id],
            is_ambiguous,
        } = match (found, self.not_json) {
            (Ok(found), _) => found,
            (Err(Invalid), Some(key)) => return Ok(Some(Envelope::from_static(key))),
            (Err(Invalid), None) => return Err(not_json(text)),
        };
        let key = match key {
            Some(range) => Place::of(&text[range]),
            None => Place::Empty,
        };
        let (key, is_static, invalid) = match (key, self.or) {
            _ if is_ambiguous => (Cow::Borrowed(""), None, Some(self.ambiguous())),
            (Place::Key(key), _) => (key, None, None),
            (Place::Empty, Some(key)) => (Cow::Borrowed(key), Some(key), None),
            (Place::Other, Some(key)) if !strict => (Cow::Borrowed(key), Some(key), None),
            _ => (Cow::Borrowed(""), None, Some(self.no_key())),
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

    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
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
    pub(crate) fn new(pointer: &str) -> Result<Self, String> {
        Pointer::parse(pointer).map(Self)
    }

    /// The id, a string or a number, of a message that is JSON.
    pub(crate) fn find(&self, message: &Message) -> Option<RequestId> {
        let text = std::str::from_utf8(message.as_bytes()).ok()?;
        let Found {
            values: [_, id], ..
        } = find(text, [None, Some(self.0.path())]).ok()?;
        request_id(message, id?)
    }
}

/// A value of JSON messages, whatever else they are.
#[derive(Debug, Clone)]
pub(crate) struct ValueAt(Pointer);

impl ValueAt {
    /// The value is at this JSON pointer.
    pub(crate) fn parse(pointer: &str) -> Result<Self, String> {
        Pointer::parse(pointer).map(Self)
    }

    /// The value as text: a string without its escapes, a number or a boolean as it is written.
    pub(crate) fn find<'m>(&self, message: &'m Message) -> Result<Cow<'m, str>> {
        let text = std::str::from_utf8(message.as_bytes())
            .map_err(|_| Error::bad_request("a binary message must be JSON in UTF-8"))?;
        let Found {
            values: [_, value], ..
        } = find(text, [None, Some(self.0.path())]).map_err(|Invalid| not_json(text))?;
        match value.map(|range| Place::of(&text[range])) {
            Some(Place::Key(value)) => Ok(value),
            _ => Err(Error::bad_request(format!(
                "no string, number or boolean at `{}`",
                self.0.as_str()
            ))),
        }
    }
}

/// One path for the key and one for the id; `None` where this part of the text is not on the way to it.
type Wanted<'p> = [Option<Path<'p>>; 2];

/// What there is in a text.
#[derive(Default)]
struct Found {
    /// Where the values stand.
    values: [Option<Range<usize>>; 2],
    /// A member on the way to the key is there twice, or in another case. Only a strict search looks for that.
    is_ambiguous: bool,
}

fn find(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    search::<false>(text, wanted)
}

#[inline(never)]
fn find_strictly(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    search::<true>(text, wanted)
}

#[inline(always)]
fn search<const STRICT: bool>(text: &str, wanted: Wanted<'_>) -> Result<Found, Invalid> {
    let mut search = Search::<STRICT> {
        len: text.len(),
        found: Found::default(),
    };
    search.walk(Scanner::new(text), wanted)?.end()?;
    Ok(search.found)
}

struct Search<const STRICT: bool> {
    /// Of the text.
    len: usize,
    found: Found,
}

impl<const STRICT: bool> Search<STRICT> {
    /// Reads one value. It calls itself only along a path, so no deeper than the pointers are long.
    fn walk<'t>(
        &mut self,
        scanner: Scanner<'t>,
        wanted: Wanted<'_>,
    ) -> Result<Scanner<'t>, Invalid> {
        let start = scanner.skip_space();
        let on_the_way = wanted.iter().flatten().any(|path| !path.is_empty());
        let end = if on_the_way && let Some(inside) = start.after(b'{') {
            let mut is_there = false;
            inside.members(|scanner, name| {
                let inner = wanted.map(|path| path?.member(&name));
                if STRICT && let Some(to_key) = wanted[0] {
                    if inner[0].is_some() {
                        self.found.is_ambiguous |= is_there;
                        is_there = true;
                    } else {
                        self.found.is_ambiguous |= to_key.differs_in_case_only(&name);
                    }
                }
                self.descend(scanner, inner)
            })?
        } else if on_the_way && let Some(inside) = start.after(b'[') {
            inside.elements(|scanner, index| {
                self.descend(scanner, wanted.map(|path| path?.element(index)))
            })?
        } else {
            start.value()?
        };
        for (value, path) in self.found.values.iter_mut().zip(wanted) {
            if path.is_some_and(|path| path.is_empty()) {
                *value = Some(self.len - start.left()..self.len - end.left());
            }
        }
        Ok(end)
    }

    #[inline(always)]
    fn descend<'t>(
        &mut self,
        scanner: Scanner<'t>,
        wanted: Wanted<'_>,
    ) -> Result<Scanner<'t>, Invalid> {
        if let [None, None] = wanted {
            return scanner.value();
        }
        // What an earlier member of the same name held is void.
        for (value, path) in self.found.values.iter_mut().zip(wanted) {
            if path.is_some() {
                *value = None;
            }
        }
        self.walk(scanner, wanted)
    }
}

/// What stands in the place of a routing key.
enum Place<'t> {
    Key(Cow<'t, str>),
    /// Nothing, or `null`.
    Empty,
    /// Something else, of which another parser may make a key.
    Other,
}

impl<'t> Place<'t> {
    /// From the text of a JSON value.
    fn of(raw: &'t str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') if raw.as_bytes().contains(&b'\\') => {
                match serde_json::from_str(raw).map(Cow::Owned) {
                    Ok(key) => Self::Key(key),
                    Err(_) => Self::Other,
                }
            }
            Some(b'"') => Self::Key(Cow::Borrowed(&raw[1..raw.len() - 1])),
            Some(b'{' | b'[') => Self::Other,
            Some(b'n') | None => Self::Empty,
            Some(_) => Self::Key(Cow::Borrowed(raw)),
        }
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
