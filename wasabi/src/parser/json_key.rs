//! The request parser of JSON channels: key and id at fixed places.

mod pointer;
mod scan;
mod search;

use std::{borrow::Cow, ops::Range};

use serde::de::IgnoredAny;

pub(crate) use self::scan::{Invalid, Scanner};
use self::{
    pointer::Pointer,
    search::{Found, find, find_strictly},
};
use crate::{
    Envelope, Error, ErrorFormat, Message, Parser, RequestId, Result, Text, mistakes::Mistakes,
};

/// Reads the routing key and the id of a JSON message from the places that two JSON pointers (RFC 6901) name.
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
/// * The key is a JSON string, unescaped; a number or a boolean is taken as written (`7`, `true`). A message without a
///   key, or with another value in its place, is answered with `no_key`, unless [`or`](Self::or) sets a key for it.
/// * The id is a JSON string or number and goes back as written. Any other value is not an id.
/// * If a member is repeated, the last one counts, as in serde_json and in browsers. Other parsers take the first one,
///   or ignore the case of letters. If the systems behind the gateway must see the same key, [`strict`](Self::strict)
///   refuses messages that can be read in two ways.
/// * The message may be text or binary; a binary one must be UTF-8.
/// * A message that is not valid JSON as a whole, or has values nested more than 128 deep, is answered with
///   `unreadable`, without an id.
/// * Error replies are JSON with the id at the same pointer, unless the channel sets `errors`.
///
/// The parser makes one pass over the text, builds no tree and allocates nothing: key and id are slices of the message.
/// It copies only a key with escapes, or a member name with escapes on the way to it.
#[derive(Debug, Clone)]
pub struct JsonKey {
    /// `None` if the pointer is invalid.
    key: Option<Pointer>,
    id: Option<Pointer>,
    or: Option<&'static str>,
    not_json: Option<&'static str>,
    /// `None` if not set: then strict only with `or`.
    strict: Option<bool>,
    mistakes: Mistakes,
}

impl JsonKey {
    /// Sets the pointer to the key; messages have no id. An invalid JSON pointer keeps the gateway from being served.
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

    /// Sets the pointer to the id. An invalid JSON pointer keeps the gateway from being served.
    #[must_use]
    pub fn id(mut self, pointer: impl AsRef<str>) -> Self {
        self.id = self.mistakes.keep(Pointer::parse(pointer.as_ref()));
        self
    }

    /// Sets the key of JSON messages that have none, because it is missing or `null`: for gateways that answer some
    /// messages themselves and pass on the others.
    ///
    /// A message that is not JSON is still answered with `unreadable`: a parser that takes more than RFC 8259 allows
    /// could read it, and find a key. [`not_json`](Self::not_json) lets such messages pass. Messages that can be read
    /// in two ways are refused too, as [`strict`](Self::strict) says. An array of requests, as in JSON-RPC, has no key.
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

    /// Sets the key of messages that are not JSON, such as binary data or other kinds of text.
    ///
    /// Not JSON means: not allowed by RFC 8259, values nested more than 128 deep, or not UTF-8. Other parsers are less
    /// strict, and may find a key where this one finds none: in messages with a byte order mark, `NaN` or a comment, or
    /// in UTF-16. Do not route such messages to an upstream that reads them as JSON if clients must not reach some of
    /// its keys.
    #[must_use]
    pub fn not_json(mut self, key: &'static str) -> Self {
        self.not_json = Some(key);
        self
    }

    /// Whether to refuse, with `bad_request`, messages in which another parser may find another key. Default: `true`
    /// with [`or`](Self::or), whose messages usually go on to an upstream, otherwise `false`.
    ///
    /// The parser then refuses messages in which a member on the way to the key is repeated, or is written in another
    /// case (`Method` or `METHOD` for `method`, alone or beside it). With `or`, it also refuses messages with an
    /// object, an array or half a surrogate pair in the place of the key.
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
            "`{}` occurs twice, or once more in another case",
            self.key_at()
        ))
    }

    #[cold]
    fn no_key(&self) -> Error {
        let at = self.key_at();
        Error::NoKey(format!("expected a routing key, a string, at `{at}`").into())
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
                    return Err(Error::unreadable("a binary message must be JSON in UTF-8"));
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
            Some(range) => KeyValue::of(&text[range]),
            None => KeyValue::Empty,
        };
        let (key, is_static, invalid) = match (key, self.or) {
            _ if is_ambiguous => (Cow::Borrowed(""), None, Some(self.ambiguous())),
            (KeyValue::Key(key), _) => (key, None, None),
            (KeyValue::Empty, Some(key)) => (Cow::Borrowed(key), Some(key), None),
            (KeyValue::Other, Some(key)) if !strict => (Cow::Borrowed(key), Some(key), None),
            _ => (Cow::Borrowed(""), None, Some(self.no_key())),
        };
        // Written out: each builder method would move the whole envelope.
        Ok(Some(Envelope {
            key,
            is_static,
            id: id.and_then(|range| request_id(message, range)),
            content_type: Some("application/json"),
            value: None,
            wants_reply: true,
            params: None,
            invalid,
            cancels: super::Cancels::No,
            part: None,
            unique: None,
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

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Codes, Language, Places};
        let text = |pointer: &Option<Pointer>| Some(pointer.as_ref()?.as_str().to_owned());
        Places {
            language: Language::Json,
            key: text(&self.key),
            or: self.or,
            not_json: self.not_json,
            id: text(&self.id),
            codes: match self.not_json {
                Some(_) => Codes::of(&["bad_request", "no_key"]),
                None => Codes::of(&["bad_request", "no_key", "unreadable"]),
            },
            closes: Vec::new(),
        }
    }
}

/// Reads ids from any JSON message.
#[derive(Debug, Clone)]
pub(crate) struct IdAt(Pointer);

impl IdAt {
    /// Sets the JSON pointer to the id.
    pub(crate) fn new(pointer: &str) -> Result<Self, String> {
        Pointer::parse(pointer).map(Self)
    }

    /// The id, a string or a number; `None` if the message is not JSON or has none.
    pub(crate) fn find(&self, message: &Message) -> Option<RequestId> {
        let text = std::str::from_utf8(message.as_bytes()).ok()?;
        let Found {
            values: [_, id], ..
        } = find(text, [None, Some(self.0.path())]).ok()?;
        request_id(message, id?)
    }
}

/// Reads a value from any JSON message.
#[derive(Debug, Clone)]
pub(crate) struct ValueAt(Pointer);

impl ValueAt {
    /// Sets the JSON pointer to the value.
    pub(crate) fn parse(pointer: &str) -> Result<Self, String> {
        Pointer::parse(pointer).map(Self)
    }

    /// The value as text: a string unescaped, a number or a boolean as written.
    pub(crate) fn find<'m>(&self, message: &'m Message) -> Result<Cow<'m, str>> {
        let text = std::str::from_utf8(message.as_bytes())
            .map_err(|_| Error::unreadable("a binary message must be JSON in UTF-8"))?;
        let Found {
            values: [_, value], ..
        } = find(text, [None, Some(self.0.path())]).map_err(|Invalid| not_json(text))?;
        match value.map(|range| KeyValue::of(&text[range])) {
            Some(KeyValue::Key(value)) => Ok(value),
            _ => Err(Error::bad_request(format!(
                "expected a string, number or boolean at `{}`",
                self.0.as_str()
            ))),
        }
    }
}

/// The value in the place of a routing key.
enum KeyValue<'t> {
    Key(Cow<'t, str>),
    /// Nothing, or `null`.
    Empty,
    /// Another value, which another parser might take for a key.
    Other,
}

impl<'t> KeyValue<'t> {
    /// Classifies the text of a JSON value.
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

/// The text of a JSON string, without its quotes and escapes; a slice, if it has no escapes.
#[inline]
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        false => Some(Cow::Borrowed(inside)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// Explains why a text is invalid, by a second parse that valid texts never need.
pub(crate) fn not_json(text: &str) -> Error {
    Error::unreadable(match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => format!("not JSON: {error}"),
        Ok(_) => "values are nested too deep".to_owned(),
    })
}

#[cfg(test)]
mod tests;
