//! One inbound message with its routing key.

use std::{any::Any, fmt, mem, ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{Connection, Message, Text};

/// One inbound message on its way to a backend.
///
/// It is immutable and cheap to clone (reference counts), so that a middleware may run the rest of the chain
/// more than once.
#[derive(Clone)]
pub struct Request {
    message: Message,
    key: KeyRepr,
    id: Option<RequestId>,
    content_type: Option<&'static str>,
    value: Option<Arc<dyn Any + Send + Sync>>,
    route: Route,
    connection: Connection,
}

impl Request {
    #[inline(always)]
    pub(crate) fn new(
        message: Message,
        envelope: crate::parser::Parts,
        connection: Connection,
    ) -> Self {
        let crate::parser::Parts {
            key,
            id,
            content_type,
            value,
        } = envelope;
        Self {
            message,
            key,
            id,
            content_type,
            value,
            route: Route::default(),
            connection,
        }
    }

    /// The routing key.
    pub fn key(&self) -> &str {
        self.key.resolve(&self.message)
    }

    /// The message as it came in.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The payload, whatever its kind; a reference count, not a copy.
    pub fn payload(&self) -> Bytes {
        self.message.clone().into_bytes()
    }

    /// The media type of the message: what the parser knows of it, else `text/plain; charset=utf-8` for a text
    /// message and `application/octet-stream` for a binary one.
    pub fn content_type(&self) -> &'static str {
        match (self.content_type, &self.message) {
            (Some(media_type), _) => media_type,
            (None, Message::Text(_)) => "text/plain; charset=utf-8",
            (None, Message::Binary(_)) => "application/octet-stream",
        }
    }

    /// The client's id for this request, where the parser found one.
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The connection that the message came in on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The same request with another message: for middleware that changes what goes on to the backend. Key, id and
    /// media type stay those that the parser has read from the client's message.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[middleware]
    /// async fn shout(req: Request, next: impl Next) -> Result<Reply> {
    ///     let loud = req.message().as_text().map(str::to_uppercase);
    ///     match loud {
    ///         Some(loud) => next.run(req.with_message(loud)).await,
    ///         None => next.run(req).await,
    ///     }
    /// }
    ///
    /// let gateway = gateway!(channel("/", with([shout], WebSocket::connect("ws://legacy:9000/"))));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Message>) -> Self {
        if let KeyRepr::Slice(_) = self.key {
            self.key = KeyRepr::Shared(self.key().into());
        }
        self.message = message.into();
        self
    }

    /// The same request with another handle to its connection, one that [intercepts](Connection::intercept). A handle to
    /// any other connection is ignored.
    ///
    /// ```
    /// use wasabi::{Intercept, prelude::*};
    ///
    /// /// Counts what a backend pushes.
    /// struct Counted;
    ///
    /// impl Intercept for Counted {
    ///     fn send(&self, message: Message) -> Option<Message> {
    ///         tracing::info!(bytes = message.len(), "pushed");
    ///         Some(message)
    ///     }
    /// }
    ///
    /// #[middleware]
    /// async fn counted(req: Request, next: impl Next) -> Result<Reply> {
    ///     let connection = req.connection().intercept(Counted);
    ///     next.run(req.with_connection(connection)).await
    /// }
    /// ```
    #[must_use]
    pub fn with_connection(mut self, connection: Connection) -> Self {
        if connection.id() == self.connection.id() {
            self.connection = connection;
        }
        self
    }

    /// The route that answers this request, as it is written in the declaration: the pattern of its arm, or
    /// the target of a channel without `match`. It is known before the first middleware runs.
    pub fn route(&self) -> &'static str {
        self.route.name
    }

    /// What the parser attached, if it is a `T`.
    pub fn value<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.value.as_deref()?.downcast_ref()
    }

    pub(crate) fn shared_value<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.value.as_ref()?).downcast().ok()
    }

    /// The `Key` extractor's value: it owns what it needs.
    pub(crate) fn owned_key(&self) -> Key {
        match (&self.key, &self.message) {
            (KeyRepr::Static(key), _) => Key(KeySource::Static(key)),
            (KeyRepr::Shared(key), _) => Key(KeySource::Shared(Arc::clone(key))),
            (KeyRepr::Slice(range), Message::Text(text)) => {
                Key(KeySource::Slice(text.clone(), range.clone()))
            }
            (KeyRepr::Slice(_), Message::Binary(_)) => Key(KeySource::Shared(self.key().into())),
        }
    }

    /// Leaves an empty message behind.
    pub(crate) fn take_message(&mut self) -> Message {
        mem::replace(&mut self.message, Message::Binary(Bytes::new()))
    }

    pub(crate) fn set_route(&mut self, route: Route) {
        self.route = route;
    }

    pub(crate) fn route_index(&self) -> usize {
        self.route.index
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("key", &self.key())
            .field("id", &self.id)
            .field("route", &self.route.name)
            .field("message", &self.message)
            .field("connection", &self.connection.id())
            .finish()
    }
}

/// Which arm of the channel's `match` a request takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Route {
    /// Position of the arm.
    pub index: usize,
    /// Its pattern, as written.
    pub name: &'static str,
}

/// Where a routing key stands. Keys are mostly slices of the message: a range costs nothing to clone.
#[derive(Clone, Debug)]
pub(crate) enum KeyRepr {
    Static(&'static str),
    Shared(Arc<str>),
    Slice(Range<usize>),
}

impl KeyRepr {
    /// A key that was found in a message: as a range of it where it is one.
    pub(crate) fn of(key: &str, message: &Message) -> Self {
        let (whole, part) = (
            message.as_bytes().as_ptr_range(),
            key.as_bytes().as_ptr_range(),
        );
        if whole.start <= part.start && part.end <= whole.end {
            let start = part.start.addr() - whole.start.addr();
            Self::Slice(start..start + key.len())
        } else {
            Self::Shared(key.into())
        }
    }

    fn resolve<'a>(&'a self, message: &'a Message) -> &'a str {
        match (self, message) {
            (Self::Static(key), _) => key,
            (Self::Shared(key), _) => key,
            (Self::Slice(range), Message::Text(text)) => {
                text.get(range.clone()).unwrap_or_default()
            }
            (Self::Slice(range), Message::Binary(data)) => data
                .get(range.clone())
                .and_then(|key| std::str::from_utf8(key).ok())
                .unwrap_or_default(),
        }
    }
}

/// The routing key of a request, as an extractor. It derefs to `str`.
#[derive(Clone)]
pub struct Key(KeySource);

#[derive(Clone)]
enum KeySource {
    Static(&'static str),
    Shared(Arc<str>),
    Slice(Text, Range<usize>),
}

impl Key {
    /// The key as a string slice.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            KeySource::Static(key) => key,
            KeySource::Shared(key) => key,
            KeySource::Slice(text, range) => text.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl std::ops::Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The client's id for a request: what ties a reply to it.
///
/// It is kept as it was written, so that it goes back unchanged: with [`JsonKey`](crate::JsonKey) it is a JSON
/// number or string (`7`, `"a-1"`) and displays as such.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Text);

impl RequestId {
    /// An id as it stands in the message. For channels that speak JSON it must be one JSON value.
    pub fn new(raw: impl Into<Text>) -> Self {
        Self(raw.into())
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> Text {
        self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
