//! One inbound message with its routing key.

mod cancel;
mod failed;
mod id;
mod key;
mod owes;
mod reused;
mod route;

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;

use self::reused::Reused;
pub use self::{
    cancel::InFlight,
    id::RequestId,
    key::Key,
    route::{Route, split},
};
pub(crate) use self::{
    cancel::{Cancellation, Cancelled},
    failed::FailedSpan,
    key::KeyRepr,
    owes::Owes,
    reused::KeepsHandle,
};
use crate::{Connection, Error, Message};

/// One inbound message on its way to a backend.
///
/// Immutable, and cheap to move (a pointer) and to clone (reference counts), so a middleware may run the rest of the
/// chain more than once.
pub struct Request(Reused);

impl Request {
    // At each place, most parts are known to be empty.
    #[inline(always)]
    pub(crate) fn new(message: Message, envelope: RequestParts, connection: &Connection) -> Self {
        let mut fields = Reused::take(connection);
        fields.message = Some(message);
        fields.key = envelope.key;
        fields.id = envelope.id;
        fields.content_type = envelope.content_type;
        // Reused fields are empty. A store that is not needed costs more than the look.
        if envelope.value.is_some() {
            fields.value = envelope.value;
        }
        if envelope.params.is_some() {
            fields.params = envelope.params;
        }
        fields.owes = Owes::of(envelope.wants_reply);
        Self(fields)
    }

    /// The routing key; empty if the message is [invalid](Self::invalid).
    #[inline]
    pub fn key(&self) -> &str {
        self.0.key.resolve(self.message())
    }

    /// The message as it arrived.
    pub fn message(&self) -> &Message {
        static EMPTY: Message = Message::Binary(Bytes::new());
        self.0.message.as_ref().unwrap_or(&EMPTY)
    }

    /// The payload, text or binary. Clones a reference, not the data.
    pub fn payload(&self) -> Bytes {
        self.message().clone().into_bytes()
    }

    /// The parameters of the call as JSON, if the protocol found any; see [`Params`](crate::Params).
    pub fn params(&self) -> Option<&str> {
        let params = self.0.params.as_ref()?;
        Some(params.resolve(self.message()))
    }

    /// The media type of the message: what the parser says, otherwise `text/plain; charset=utf-8` for a text message
    /// and `application/octet-stream` for a binary one.
    pub fn content_type(&self) -> &'static str {
        match (self.0.content_type, self.message()) {
            (Some(media_type), _) => media_type,
            (None, Message::Text(_)) => "text/plain; charset=utf-8",
            (None, Message::Binary(_)) => "application/octet-stream",
        }
    }

    /// The client's id for this request, if the parser found one.
    pub fn id(&self) -> Option<&RequestId> {
        self.0.id.as_ref()
    }

    /// The connection that the message arrived on.
    pub fn connection(&self) -> &Connection {
        self.0.connection()
    }

    /// Replaces the message, for middleware that changes what the backend gets. Key, id, parameters and media
    /// type stay as they were read from the client's message.
    ///
    /// Middleware cannot have them read again: when it runs, the route is chosen, and errors and cancellations go by the
    /// id. If messages arrive compressed, encrypted or in an envelope, let [`Decoded`](crate::Decoded) unpack them before
    /// the channel's parser or protocol reads them. All middleware then sees the message inside.
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
        if let KeyRepr::Slice(_) = self.0.key {
            self.0.key = KeyRepr::Shared(self.key().into());
        }
        if let Some(KeyRepr::Slice(_)) = self.0.params {
            self.0.params = self.params().map(|params| KeyRepr::Shared(params.into()));
        }
        self.0.message = Some(message.into());
        self
    }

    /// Replaces the handle to the connection with one that [intercepts](Connection::intercept). A handle to any other
    /// connection is ignored.
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
        if connection.id() == self.connection().id() {
            self.0.set_connection(connection);
        }
        self
    }

    /// The route that answers this request, as written in the declaration: the pattern of its arm, or the target of a
    /// channel without `match`. Of matches inside each other it is the innermost arm; its `_` has the name of the arm
    /// around it. It is known before the first middleware runs. A message that the parser cannot read has the route
    /// `invalid`.
    pub fn route(&self) -> &'static str {
        self.0.route.name
    }

    /// Why the channel's parser could not read the message; `None` for a valid request.
    ///
    /// Only the middleware of the channel and of the gateway sees an invalid request, so that it is measured, traced
    /// and limited like any other. Targets and the middleware in `with` do not see it: `next` answers with this error.
    /// `Cache`, `Retry` and `CircuitBreaker` let it pass.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// /// Counts what clients get wrong.
    /// #[middleware]
    /// async fn lint(req: Request, next: impl Next) -> Result<Reply> {
    ///     if let Some(error) = req.invalid() {
    ///         tracing::info!(connection = %req.connection().id(), %error, "not understood");
    ///     }
    ///     next.run(req).await
    /// }
    ///
    /// let gateway = gateway!(channel("/", parser = JsonKey::at("/do"), middleware = [lint], NoRoute));
    /// # drop(gateway);
    /// ```
    pub fn invalid(&self) -> Option<&Error> {
        self.0.invalid.as_deref()
    }

    /// The value that the parser attached, if it is a `T`.
    pub fn value<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.value.as_deref()?.downcast_ref()
    }

    pub(crate) fn shared_value<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.value.as_ref()?).downcast().ok()
    }

    /// The value of the `Key` extractor, which owns its text.
    pub(crate) fn owned_key(&self) -> Key {
        Key::of(&self.0.key, self.message())
    }

    /// Takes the message and leaves an empty one behind.
    pub(crate) fn take_message(&mut self) -> Message {
        let empty = || Message::Binary(Bytes::new());
        self.0.message.take().unwrap_or_else(empty)
    }

    pub(crate) fn set_route(&mut self, route: Route) {
        self.0.route = route;
    }

    /// A request without a message.
    pub(crate) fn empty(connection: &Connection) -> Self {
        let message = Message::Binary(Bytes::new());
        Self::new(message, RequestParts::default(), connection)
    }

    /// Marks the request as invalid: no target sees it.
    pub(crate) fn into_invalid(mut self, error: Error) -> Self {
        self.0.invalid = Some(Arc::new(error));
        self.0.route = Route {
            path: 0,
            name: "invalid",
        };
        self
    }

    /// The error to answer with, if the request is invalid.
    #[inline(always)]
    pub(crate) fn take_invalid(&mut self) -> Option<Error> {
        // Nearly all requests are valid, and an error is large to move.
        match self.0.invalid {
            None => None,
            Some(_) => self.taken_invalid(),
        }
    }

    #[cold]
    fn taken_invalid(&mut self) -> Option<Error> {
        let error = self.0.invalid.take()?;
        Some(Arc::try_unwrap(error).unwrap_or_else(|shared| shared.duplicate()))
    }

    /// Sets what the backend says, unless the client wants no reply at all.
    pub(crate) fn set_owes_reply(&mut self, owes_reply: bool) {
        self.0.owes.set(owes_reply);
    }

    /// Whether the client waits for a reply, by [`Backend::owes_reply`](crate::Backend::owes_reply) of its backend.
    pub(crate) fn owes_reply(&self) -> bool {
        self.0.owes.is_reply()
    }

    /// Whether anything goes back to the client.
    pub(crate) fn wants_reply(&self) -> bool {
        !self.0.owes.is_silence()
    }

    pub(crate) fn owes(&self) -> Owes {
        self.0.owes
    }

    pub(crate) fn route_path(&self) -> u64 {
        self.0.route.path
    }

    /// The number of calls in this request that other requests wait for.
    #[cfg(feature = "cache")]
    pub(crate) fn led(&self) -> usize {
        self.0.led
    }

    /// Counts one more such call.
    #[cfg(feature = "cache")]
    pub(crate) fn leading(mut self) -> Self {
        self.0.led += 1;
        self
    }
}

impl Clone for Request {
    fn clone(&self) -> Self {
        let mut fields = Reused::take(self.connection());
        fields.message.clone_from(&self.0.message);
        fields.key.clone_from(&self.0.key);
        fields.id.clone_from(&self.0.id);
        fields.content_type = self.0.content_type;
        fields.value.clone_from(&self.0.value);
        fields.params.clone_from(&self.0.params);
        fields.invalid.clone_from(&self.0.invalid);
        fields.route = self.0.route;
        fields.owes = self.0.owes;
        fields.led = self.0.led;
        Self(fields)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("key", &self.key())
            .field("id", &self.id())
            .field("route", &self.route())
            .field("message", self.message())
            .field("connection", &self.connection().id())
            .finish()
    }
}

/// The parts of an envelope that a request keeps.
pub(crate) struct RequestParts {
    pub(crate) key: KeyRepr,
    pub(crate) id: Option<RequestId>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) value: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) wants_reply: bool,
    pub(crate) params: Option<KeyRepr>,
}

impl Default for RequestParts {
    fn default() -> Self {
        Self {
            key: KeyRepr::default(),
            id: None,
            content_type: None,
            value: None,
            wants_reply: true,
            params: None,
        }
    }
}
