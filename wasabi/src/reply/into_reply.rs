//! What a function may return as its reply.

use axum::Json;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::{Body, Reply, Result};
#[cfg(feature = "schema")]
use crate::schema::{Codes, Count, Form, Output};
use crate::{Binary, Error, IntoError, Message, Text, Writable, message::soon_gone};

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

    /// What it is, and the errors that it may become: those of the error type, if it is a `Result` whose error says them.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes)
    where
        Self: Sized,
    {
        (Output::unknown::<Self>(), Codes::unknown())
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        (Output::unknown::<Self>(), Codes::default())
    }
}

impl IntoReply for () {
    const OWES_REPLY: bool = false;

    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::none())
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        (Output::none(), Codes::default())
    }
}

macro_rules! message_is_reply {
    ($($ty:ty: $form:ident),*) => {$(
        impl IntoReply for $ty {
            fn into_reply(self) -> Result<Reply> {
                Ok(Reply::message(self))
            }

            #[cfg(feature = "schema")]
            fn output(_failing: Option<&Codes>) -> (Output, Codes) {
                (Output::new::<Self>(Form::$form), Codes::default())
            }
        }
    )*};
}

message_is_reply!(
    Message: Unknown, Text: Text, String: Text, &'static str: Text, Bytes: Binary, Vec<u8>: Binary, Binary: Binary
);

impl<T: Writable> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply> {
        match soon_gone(&self.0) {
            Ok(json) => Ok(Reply::json(json)),
            Err(error) => Err(Error::internal(error)),
        }
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        (Output::new::<T>(Form::Json), Codes::of(&["internal"]))
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        self.map_or(Ok(Reply::none()), R::into_reply)
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        let (output, codes) = R::output(None);
        (output.times(Count::AtMostOne), codes)
    }
}

impl<R: IntoReply, E: IntoError> IntoReply for std::result::Result<R, E> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        self.map_err(E::into_error)?.into_reply()
    }

    #[cfg(feature = "schema")]
    fn output(failing: Option<&Codes>) -> (Output, Codes) {
        let (output, codes) = R::output(None);
        let codes = match failing {
            Some(failing) => codes.and(failing),
            None => codes.or_others(),
        };
        (output, codes)
    }
}

impl<R: IntoReply> IntoReply for Vec<R> {
    const OWES_REPLY: bool = R::OWES_REPLY;

    fn into_reply(self) -> Result<Reply> {
        let mut messages = Vec::with_capacity(self.len());
        let mut gates = Vec::new();
        for reply in self {
            let (reply, more) = reply.into_reply()?.split();
            gates.extend(more);
            match reply.into_body() {
                Body::None => {}
                Body::One(message) => messages.push(message),
                Body::Many(more) => messages.extend(more),
                Body::Stream(_) | Body::Gated(_) => {
                    return Err(Error::internal("a stream inside a list of replies"));
                }
            }
        }
        Ok(Reply::messages(messages).before(gates))
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        let (output, codes) = R::output(None);
        (output.times(Count::Many), codes)
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
            let messages = item.into_reply().map(|reply| reply.split().0.into_body());
            stream::iter(match messages {
                Ok(Body::None) => Vec::new(),
                Ok(Body::One(message)) => vec![Ok(message)],
                Ok(Body::Many(messages)) => messages.map(Ok).collect(),
                Ok(Body::Stream(_) | Body::Gated(_)) => {
                    vec![Err(Error::internal("a stream inside a stream of replies"))]
                }
                Err(error) => vec![Err(error)],
            })
        })))
    }

    #[cfg(feature = "schema")]
    fn output(_failing: Option<&Codes>) -> (Output, Codes) {
        let (output, codes) = T::Item::output(None);
        (output.times(Count::Stream), codes)
    }
}
