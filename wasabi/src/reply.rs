//! Replies to clients.

mod gated;
mod into_reply;

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream};

pub(crate) use self::gated::Gated;
pub use self::into_reply::{IntoReply, Replies};
use crate::{Error, Message, Text};

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
pub struct Reply {
    body: Body,
    /// The only message is known to be JSON.
    is_json: bool,
}

pub(crate) enum Body {
    None,
    One(Message),
    Many(std::vec::IntoIter<Message>),
    Stream(ReplyStream),
    /// One of the others, except for a stream, that something waits for.
    Gated(Box<Gated>),
}

impl Body {
    /// Bytes of the messages that are present already.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(message) => message.len(),
            body => body.messages().iter().map(Message::len).sum(),
        }
    }

    /// The messages that are present already.
    fn messages(&self) -> &[Message] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Many(messages) => messages.as_slice(),
            Self::None | Self::Stream(_) => &[],
            Self::Gated(gated) => gated.body().messages(),
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
        Self::of(Body::None)
    }

    const fn of(body: Body) -> Self {
        Self {
            body,
            is_json: false,
        }
    }

    /// One message that is known to be JSON.
    pub(crate) fn json(text: Text) -> Self {
        Self {
            body: Body::One(Message::Text(text)),
            is_json: true,
        }
    }

    /// One message.
    pub fn message(message: impl Into<Message>) -> Self {
        Self::of(Body::One(message.into()))
    }

    /// Several messages, in this order.
    pub fn messages(messages: Vec<Message>) -> Self {
        Self::of(Body::Many(messages.into_iter()))
    }

    /// A stream of messages. The request stays in flight, and counts as such, until the stream ends. The stream is
    /// polled only while the client reads what is sent. An error ends it with an error reply, and so does a source that
    /// is silent for the channel's `stream_idle_timeout`.
    pub fn stream(messages: impl Stream<Item = Result<Message>> + Send + 'static) -> Self {
        Self::of(Body::Stream(ReplyStream {
            messages: Box::pin(messages),
            id: None,
        }))
    }

    /// Gives a stream an id of its own: errors and cancellations after its first message are about that id, not about the
    /// request's.
    pub(crate) fn under(mut self, id: Text) -> Self {
        if let Body::Stream(stream) = &mut self.body {
            stream.id = Some(Box::new(id));
        }
        self
    }

    /// Whether nothing is sent back.
    pub fn is_none(&self) -> bool {
        !self.is_stream() && self.as_messages().is_empty()
    }

    /// The messages that are present already; empty for a stream.
    pub fn as_messages(&self) -> &[Message] {
        self.body.messages()
    }

    /// Whether this is a stream, whose messages arrive later.
    pub fn is_stream(&self) -> bool {
        matches!(self.body, Body::Stream(_))
    }

    /// The message, if the reply is a single one; otherwise the reply itself.
    pub fn into_message(self) -> Result<Message, Self> {
        match self.body {
            Body::One(message) => Ok(message),
            Body::Gated(gated) => Self::of(gated.opened()).into_message(),
            body => Err(Self::of(body)),
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
        match self.body {
            Body::None => Self::of(Body::None),
            Body::One(message) => Self::of(Body::One(each(message))),
            Body::Many(messages) => Self::messages(messages.map(each).collect()),
            Body::Stream(messages) => {
                Self::stream(messages.map(move |message| message.map(&mut each)))
            }
            Body::Gated(gated) => gated.map(|reply| reply.map(each)),
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
        Ok(match self.body {
            Body::None => Self::of(Body::None),
            Body::One(message) => Self::of(Body::One(each(message)?)),
            Body::Many(messages) => Self::messages(messages.map(each).collect::<Result<_>>()?),
            Body::Stream(messages) => {
                Self::stream(messages.map(move |message| message.and_then(&mut each)))
            }
            Body::Gated(gated) => return gated.try_map(|reply| reply.try_map(each)),
        })
    }

    /// Keeps `held` until a stream ends; drops it at once for any other reply.
    pub(crate) fn holding<T: Send + 'static>(self, held: T) -> Self {
        match self.body {
            Body::Stream(mut messages) => Self::stream(stream::poll_fn(move |cx| {
                let _held = &held;
                Pin::new(&mut messages).poll_next(cx)
            })),
            body => Self::of(body),
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    /// Whether it is one message that is known to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.body {
            Body::Stream(_) => f.write_str("Reply(stream)"),
            _ => f.debug_tuple("Reply").field(&self.as_messages()).finish(),
        }
    }
}
