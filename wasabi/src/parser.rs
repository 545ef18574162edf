//! Request parsers: from a message to a request with its routing key.

mod json_key;
mod taken;

use std::{any::Any, borrow::Cow, sync::Arc};

pub use self::json_key::JsonKey;
pub(crate) use self::json_key::{IdAt, Invalid, Scanner, ValueAt, not_json, string};
use crate::{Close, Connection, Error, ErrorFormat, Message, Result, request::RequestId};

/// Reads the routing key, and optionally an id and more, from a message.
///
/// A function `fn(&Message) -> Result<Option<Envelope<'_>>>` is a parser:
///
/// ```
/// use wasabi::prelude::*;
///
/// /// `join lobby`: the first word is the key.
/// fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> {
///     let text = message.as_text().ok_or(wasabi::Error::bad_request("expected text"))?;
///     if text.starts_with('#') {
///         return Ok(None); // a comment: dropped on purpose
///     }
///     Ok(Some(Envelope::new(text.split(' ').next().unwrap_or_default())))
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request parser",
    label = "cannot read the routing key of a message",
    note = "a parser is `Raw`, `JsonKey::at(\"/pointer\")`, or a `fn(&Message) -> Result<Option<Envelope<'_>>>`"
)]
pub trait Parser: Send + Sync + 'static {
    /// Reads one message. `Ok(None)` drops it on purpose, without a reply or an error.
    ///
    /// An `Err` is answered to the client. The unreadable message still becomes a request, an
    /// [invalid](crate::Request::invalid) one: the middleware of its channel and of the gateway sees it on the route
    /// `invalid`, but no target does. More than 100 such messages in a second close the connection with 1008, since a
    /// well-behaved client sends none.
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>>;

    /// Replaces a message by what is in it, before [`parse`](Self::parse) reads it, if messages arrive compressed or
    /// encrypted. By default a message stays as it is. [`Decoded`](crate::Decoded) does this for parsers that exist.
    ///
    /// # Errors
    ///
    /// An error is answered to the client, like one of [`parse`](Self::parse).
    #[inline(always)]
    fn decode(&self, _message: &mut Message, _connection: &Connection) -> Result<()> {
        Ok(())
    }

    /// The format of error replies, if the channel does not set `errors = ..`.
    fn errors(&self) -> ErrorFormat {
        ErrorFormat::Text
    }

    /// Reports invalid settings; called once, when the gateway is built.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Where it finds what it reads.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        crate::schema::Places::unknown(crate::schema::Language::Own)
    }
}

#[diagnostic::do_not_recommend]
impl<F> Parser for F
where
    F: for<'m> Fn(&'m Message) -> Result<Option<Envelope<'m>>> + Send + Sync + 'static,
{
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        self(message)
    }
}

/// What a parser found in a message.
///
/// The example parses a binary protocol, with a one-byte opcode and a four-byte id, and shows the function that
/// answers:
///
/// ```
/// use wasabi::{Error, prelude::*};
///
/// fn opcode(message: &Message) -> Result<Option<Envelope<'_>>> {
///     let Message::Binary(data) = message else {
///         return Err(Error::bad_request("expected a binary message"));
///     };
///     let [code, id @ ..] = data.first_chunk::<5>().ok_or(Error::bad_request("too short"))?;
///     let id = u32::from_be_bytes(*id);
///     let envelope = match code {
///         1 => Envelope::from_static("get"),
///         2 => Envelope::from_static("put"),
///         _ => Envelope::invalid(Error::NoRoute),
///     };
///     Ok(Some(envelope.id(RequestId::new(id.to_string())).value(id)))
/// }
///
/// async fn get(id: Parsed<u32>, Binary(data): Binary) -> Binary {
///     let mut reply = id.to_be_bytes().to_vec();
///     reply.extend_from_slice(&data[5..]);
///     Binary(reply.into())
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = opcode,
///     match key {
///         "get" => get,
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// The message stays as it arrived, header included. Errors are text, unless the channel sets `errors`.
#[derive(Debug)]
pub struct Envelope<'m> {
    key: Cow<'m, str>,
    is_static: Option<&'static str>,
    id: Option<RequestId>,
    content_type: Option<&'static str>,
    value: Option<Arc<dyn Any + Send + Sync>>,
    wants_reply: bool,
    params: Option<Cow<'m, str>>,
    invalid: Option<Error>,
    /// Whether the id is that of requests to cancel.
    cancels: Cancels,
    /// The part of the message that targets get.
    part: Option<&'m str>,
    /// How the connection ends if a request with the id is in flight.
    unique: Option<Duplicate>,
}

/// Whether a message cancels requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancels {
    No,
    /// It is no request itself.
    Only,
    /// It is a request too, without an id.
    Besides,
}

/// How a connection ends whose client uses an id again that is in flight.
pub(crate) type Duplicate = fn(&RequestId) -> Close;

impl<'m> Envelope<'m> {
    /// A request with this routing key. A slice of the message costs nothing; any other key is copied.
    pub fn new(key: impl Into<Cow<'m, str>>) -> Self {
        Self {
            key: key.into(),
            is_static: None,
            id: None,
            content_type: None,
            value: None,
            wants_reply: true,
            params: None,
            invalid: None,
            cancels: Cancels::No,
            part: None,
            unique: None,
        }
    }

    /// A message that is answered with this error. Unlike after an `Err` from the parser, the error reply carries the
    /// [`id`](Self::id), if set, and middleware can read the [`value`](Self::value).
    pub fn invalid(error: Error) -> Self {
        Self {
            invalid: Some(error),
            ..Self::from_static("")
        }
    }

    /// A message that is no request, but cancels those with this id on the same connection: running ones, those that
    /// wait for an upstream or for a free slot, and streams.
    ///
    /// The gateway drops their futures and answers them with the error [`cancelled`](Error::Cancelled), once; an error
    /// format may keep silent about it. Nothing follows that of their replies. A request whose reply is a single message
    /// that only waits for the client is done, and its reply goes out. If no request has this id, nothing happens. The message itself
    /// gets no reply. It needs no slot, so it also arrives when as many requests are in flight as `concurrency` allows.
    /// With [`without_reply`](Self::without_reply), the requests end without an answer.
    ///
    /// ```
    /// use wasabi::{Error, prelude::*};
    ///
    /// /// `+7 ticks` subscribes, `-7` ends that subscription.
    /// fn signed(message: &Message) -> Result<Option<Envelope<'_>>> {
    ///     let text = message.as_text().ok_or(Error::bad_request("expected text"))?;
    ///     if let Some(id) = text.strip_prefix('-') {
    ///         return Ok(Some(Envelope::cancel(RequestId::new(id.to_owned()))));
    ///     }
    ///     let request = text.strip_prefix('+').and_then(|text| text.split_once(' '));
    ///     let (id, key) = request.ok_or(Error::bad_request("expected `+id key` or `-id`"))?;
    ///     Ok(Some(Envelope::new(key).id(RequestId::new(id.to_owned()))))
    /// }
    /// ```
    ///
    /// A function cancels with the extractor [`InFlight`](crate::InFlight).
    pub fn cancel(id: RequestId) -> Self {
        Self {
            cancels: Cancels::Only,
            ..Self::from_static("")
        }
        .id(id)
    }

    /// A request without an id, which also cancels those with this id, before it runs.
    pub(crate) fn cancelling(mut self, id: RequestId) -> Self {
        self.cancels = Cancels::Besides;
        self.id(id)
    }

    /// A request with a key in static memory, which is not copied.
    pub fn from_static(key: &'static str) -> Self {
        Self {
            is_static: Some(key),
            ..Self::new(key)
        }
    }

    /// The client's id for the request.
    #[must_use]
    pub fn id(mut self, id: RequestId) -> Self {
        self.id = Some(id);
        self
    }

    /// A call with JSON, without a reply if it has no id. Written out: each builder method would move the whole envelope.
    #[inline(always)]
    pub(crate) fn call(key: Cow<'m, str>, id: Option<RequestId>, params: Option<&'m str>) -> Self {
        Self {
            key,
            is_static: None,
            wants_reply: id.is_some(),
            id,
            content_type: Some("application/json"),
            value: None,
            params: params.map(Cow::Borrowed),
            invalid: None,
            cancels: Cancels::No,
            part: None,
            unique: None,
        }
    }

    /// The part of the message that middleware and targets get as the message; by default all of it. It is text or binary,
    /// like the message. A slice of the message costs nothing; any other text is copied. Only a
    /// [`Protocol`](crate::Protocol) can set it.
    #[must_use]
    pub fn part(mut self, part: &'m str) -> Self {
        self.part = Some(part);
        self
    }

    /// Closes the connection with this close if a request with the same id is in flight. By default such requests are
    /// independent of each other, and [`cancel`](Self::cancel) ends all of them. It has no effect inside a batch. Only a
    /// [`Protocol`](crate::Protocol) can set it.
    #[must_use]
    pub fn unique(mut self, otherwise: fn(&RequestId) -> Close) -> Self {
        self.unique = Some(otherwise);
        self
    }

    /// The media type of the message, such as `application/json`, if the parser knows it. By default, it is
    /// `text/plain; charset=utf-8` for a text message and `application/octet-stream` for a binary one. The
    /// [`Http`](crate::Http) backend passes it on.
    #[must_use]
    pub fn content_type(mut self, media_type: &'static str) -> Self {
        self.content_type = Some(media_type);
        self
    }

    /// A value for the [`Parsed<T>`](crate::Parsed) extractor.
    #[must_use]
    pub fn value<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.value = Some(Arc::new(value));
        self
    }

    /// A request to which the client wants no reply, such as a notification: whatever its outcome is, nothing goes back,
    /// not even an error. Errors are logged. Such a request [owes no reply](crate::Backend::owes_reply).
    #[must_use]
    pub fn without_reply(mut self) -> Self {
        self.wants_reply = false;
        self
    }

    /// The parameters of the request as JSON, for [`Params<T>`](crate::Params). A slice of the message costs nothing; any
    /// other text is copied.
    #[must_use]
    pub fn params(mut self, params: impl Into<Cow<'m, str>>) -> Self {
        self.params = Some(params.into());
        self
    }
}

/// The default parser. It does not look into messages: the key is the kind of the message, `text` or `binary`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Parser for Raw {
    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        Ok(Some(Envelope::from_static(match message {
            Message::Text(_) => "text",
            Message::Binary(_) => "binary",
        })))
    }

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Codes, Language, Places};
        Places {
            codes: Codes::default(),
            ..Places::unknown(Language::Raw)
        }
    }
}
