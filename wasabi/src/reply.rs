//! Replies to clients.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

use axum::Json;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::{Binary, Error, IntoError, IntoMessage, Message, Text, Writable};

/// The result of each part of a chain: a [`Reply`] or an [`Error`], unless said otherwise.
pub type Result<T = Reply, E = Error> = std::result::Result<T, E>;

/// The reply to one request: intentionally nothing, one message, several, or a stream of them.
///
/// Backend functions return it, or anything else that is [`IntoReply`]; to middleware, it is the outcome of the rest of
/// the chain:
///
/// ```
/// use wasabi::prelude::*;
///
/// /// Puts an end behind the messages of a reply that is no stream.
/// #[middleware]
/// async fn ended(req: Request, next: impl Next) -> Result<Reply> {
///     let reply = next.run(req).await?;
///     if reply.is_stream() {
///         return Ok(reply);
///     }
///     let mut messages = reply.as_messages().to_vec();
///     messages.push(Message::text("end"));
///     Ok(Reply::messages(messages))
/// }
/// ```
pub struct Reply(Body);

pub(crate) enum Body {
    None,
    One(Message),
    Many(std::vec::IntoIter<Message>),
    Stream(ReplyStream),
}

impl Body {
    /// Bytes of the messages that are present already.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(message) => message.len(),
            Self::Many(messages) => messages.as_slice().iter().map(Message::len).sum(),
            Self::None | Self::Stream(_) => 0,
        }
    }
}

thread_local! {
    static STIRRED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the source of the streaming reply being polled has sent something other than a message.
pub(crate) fn stirred() {
    STIRRED.set(true);
}

/// Whether a source has done so since the last call.
pub(crate) fn has_stirred() -> bool {
    STIRRED.replace(false)
}

/// The future messages of a streaming reply. Only a streaming reply pays for the boxes.
pub(crate) struct ReplyStream {
    messages: Messages,
    /// The id of the stream, which replaces that of its request once the stream begins.
    id: Option<Box<Text>>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<Message>> + Send>>;

impl ReplyStream {
    pub(crate) fn take_id(&mut self) -> Option<Text> {
        self.id.take().map(|id| *id)
    }
}

impl Stream for ReplyStream {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.as_mut().poll_next(cx)
    }
}

impl Reply {
    /// Intentionally no reply: the client does not wait for one.
    pub const fn none() -> Self {
        Self(Body::None)
    }

    /// One message.
    pub fn message(message: impl Into<Message>) -> Self {
        Self(Body::One(message.into()))
    }

    /// Several messages, in this order.
    pub fn messages(messages: Vec<Message>) -> Self {
        Self(Body::Many(messages.into_iter()))
    }

    /// A stream of messages. The request stays in flight, and counts as such, until the stream ends. The stream is
    /// polled only while the client reads what is sent. An error ends it with an error reply, and so does a source that
    /// is silent for the channel's `stream_idle_timeout`.
    pub fn stream(messages: impl Stream<Item = Result<Message>> + Send + 'static) -> Self {
        Self(Body::Stream(ReplyStream {
            messages: Box::pin(messages),
            id: None,
        }))
    }

    /// Gives a stream an id of its own: errors and cancellations after its first message are about that id, not about the
    /// request's.
    pub(crate) fn under(mut self, id: Text) -> Self {
        if let Body::Stream(stream) = &mut self.0 {
            stream.id = Some(Box::new(id));
        }
        self
    }

    /// Whether nothing is sent back.
    pub fn is_none(&self) -> bool {
        match &self.0 {
            Body::None => true,
            Body::Many(messages) => messages.as_slice().is_empty(),
            Body::One(_) | Body::Stream(_) => false,
        }
    }

    /// The messages that are present already; empty for a stream.
    pub fn as_messages(&self) -> &[Message] {
        match &self.0 {
            Body::One(message) => std::slice::from_ref(message),
            Body::Many(messages) => messages.as_slice(),
            Body::None | Body::Stream(_) => &[],
        }
    }

    /// Whether this is a stream, whose messages arrive later.
    pub fn is_stream(&self) -> bool {
        matches!(self.0, Body::Stream(_))
    }

    /// The message, if the reply is a single one; otherwise the reply itself.
    pub fn into_message(self) -> Result<Message, Self> {
        match self.0 {
            Body::One(message) => Ok(message),
            body => Err(Self(body)),
        }
    }

    /// Changes each message of the reply, also those of a stream when they come.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[middleware]
    /// async fn shout(req: Request, next: impl Next) -> Result<Reply> {
    ///     let reply = next.run(req).await?;
    ///     Ok(reply.map(|message| match message.as_text() {
    ///         Some(text) => Message::text(text.to_uppercase()),
    ///         None => message,
    ///     }))
    /// }
    /// ```
    #[must_use]
    pub fn map(self, mut each: impl FnMut(Message) -> Message + Send + 'static) -> Self {
        match self.0 {
            Body::None => Self(Body::None),
            Body::One(message) => Self(Body::One(each(message))),
            Body::Many(messages) => Self::messages(messages.map(each).collect()),
            Body::Stream(messages) => {
                Self::stream(messages.map(move |message| message.map(&mut each)))
            }
        }
    }

    /// [`map`](Self::map) with a function that may fail.
    ///
    /// # Errors
    ///
    /// Returns the first error. In a stream, an error ends the stream as its own errors do.
    pub fn try_map(
        self,
        mut each: impl FnMut(Message) -> Result<Message> + Send + 'static,
    ) -> Result<Self> {
        Ok(match self.0 {
            Body::None => Self(Body::None),
            Body::One(message) => Self(Body::One(each(message)?)),
            Body::Many(messages) => Self::messages(messages.map(each).collect::<Result<_>>()?),
            Body::Stream(messages) => {
                Self::stream(messages.map(move |message| message.and_then(&mut each)))
            }
        })
    }

    /// Keeps `held` until a stream ends; drops it at once for any other reply.
    pub(crate) fn holding<T: Send + 'static>(self, held: T) -> Self {
        match self.0 {
            Body::Stream(mut messages) => Self::stream(stream::poll_fn(move |cx| {
                let _held = &held;
                Pin::new(&mut messages).poll_next(cx)
            })),
            body => Self(body),
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.0
    }

    pub(crate) fn into_body(self) -> Body {
        self.0
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Body::Stream(_) => f.write_str("Reply(stream)"),
            _ => f.debug_tuple("Reply").field(&self.as_messages()).finish(),
        }
    }
}

/// A value that a backend function may return.
///
/// * [`Text`], `String`, `&'static str`: a text message; [`Json<T>`](Json): text, serialized
/// * [`Bytes`], `Vec<u8>`, [`Binary`]: a binary message; [`Message`]: either
/// * `()`: intentionally nothing; `Option`: nothing for `None`
/// * `Vec<R>`: the replies in their order; [`Replies`]: a stream of them
/// * `Result<R, E>`: an `Err` becomes an error reply; `E` converts into [`Error`]
/// * a [`Reply`] is itself
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a reply",
    label = "the backend returns `{Self}`",
    note = "return `Json<T>`, `Text`, `String`, `Bytes`, `Message`, `Reply`, `()`, or an `Option`, `Vec` or `Result` of these",
    note = "return a stream as `Replies(stream)`, whose type is `Replies<impl Stream<Item = ..>>`"
)]
pub trait IntoReply {
    /// Whether the client waits for the reply of a function with this return type: not for `()`, nor for types composed
    /// of `()` alone. See [`Backend::owes_reply`](crate::Backend::owes_reply).
    const OWES_REPLY: bool = true;

    /// Turns the value into a reply.
    fn into_reply(self) -> Result<Reply>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl IntoReply for () {
    const OWES_REPLY: bool = false;

    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::none())
    }
}

macro_rules! message_is_reply {
    ($($ty:ty),*) => {$(
        impl IntoReply for $ty {
            fn into_reply(self) -> Result<Reply> {
                Ok(Reply::message(self))
            }
        }
    )*};
}

message_is_reply!(Message, Text, String, &'static str, Bytes, Vec<u8>, Binary);

impl<T: Writable> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply> {
        match self.into_message() {
            Ok(message) => Ok(Reply::message(message)),
            Err(error) => Err(Error::internal(error)),
        }
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        self.map_or(Ok(Reply::none()), R::into_reply)
    }
}

impl<R: IntoReply, E: IntoError> IntoReply for std::result::Result<R, E> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        self.map_err(E::into_error)?.into_reply()
    }
}

impl<R: IntoReply> IntoReply for Vec<R> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        let mut messages = Vec::with_capacity(self.len());
        for reply in self {
            match reply.into_reply()?.into_body() {
                Body::None => {}
                Body::One(message) => messages.push(message),
                Body::Many(more) => messages.extend(more),
                Body::Stream(_) => {
                    return Err(Error::internal("a stream inside a list of replies"));
                }
            }
        }
        Ok(Reply::messages(messages))
    }
}

/// A stream of replies; see [`Reply::stream`].
///
/// ```
/// use futures_util::{Stream, stream};
/// use wasabi::prelude::*;
///
/// async fn countdown() -> Replies<impl Stream<Item = String>> {
///     Replies(stream::iter((0..3).rev().map(|n| n.to_string())))
/// }
/// ```
#[derive(Debug)]
pub struct Replies<T>(pub T);

impl<T> IntoReply for Replies<T>
where
    T: Stream + Send + 'static,
    T::Item: IntoReply,
{
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::stream(self.0.flat_map(|item| {
            let messages = item.into_reply().map(Reply::into_body);
            stream::iter(match messages {
                Ok(Body::None) => Vec::new(),
                Ok(Body::One(message)) => vec![Ok(message)],
                Ok(Body::Many(messages)) => messages.map(Ok).collect(),
                Ok(Body::Stream(_)) => {
                    vec![Err(Error::internal("a stream inside a stream of replies"))]
                }
                Err(error) => vec![Err(error)],
            })
        })))
    }
}
