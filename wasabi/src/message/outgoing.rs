//! What can be sent: messages, and what becomes one.

use std::sync::Arc;

use axum::Json;
use bytes::Bytes;
use serde::Serialize;

use super::{Binary, Message, Text};
use crate::pieces;

/// A type that [`Json`] writes: every `T` that implements serde's `Serialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written as JSON: it does not implement `serde::Serialize`",
    label = "does not implement `serde::Serialize`",
    note = "write `#[derive(serde::Serialize)]` before `{Self}`, and use types of its fields that implement it too"
)]
pub trait Writable: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Writable for T {}

/// What [`Connection::send`](crate::Connection::send), [`Registry::broadcast`](crate::Registry::broadcast) and their
/// like take: a message, text, bytes, or [`Json(value)`](Json), which becomes a text message.
///
/// Implement it for your own types:
///
/// ```
/// use wasabi::{IntoMessage, Message, MessageError, prelude::*};
///
/// struct Tick(u64);
///
/// impl IntoMessage for Tick {
///     fn into_message(self) -> Result<Message, MessageError> {
///         Ok(Message::binary(self.0.to_be_bytes().to_vec()))
///     }
/// }
///
/// fn tick(registry: &Registry) {
///     registry.broadcast(Tick(1));
///     registry.broadcast(Json([1, 2, 3]));
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "cannot be sent",
    note = "send a `Message`, a `String`, a `&'static str`, `Text`, `Bytes`, `Vec<u8>`, `Binary`, or `Json(value)` of a value that serde can write",
    note = "write `text.to_owned()` for other string slices"
)]
pub trait IntoMessage {
    /// Makes the message. Fails if the value cannot be written.
    fn into_message(self) -> Result<Message, MessageError>;
}

macro_rules! into_message {
    ($($from:ty),*) => {
        $(impl IntoMessage for $from {
            fn into_message(self) -> Result<Message, MessageError> {
                Ok(self.into())
            }
        })*
    };
}

into_message!(Message, Text, String, &'static str, Bytes, Vec<u8>, Binary);

impl<T: Writable> IntoMessage for Json<T> {
    fn into_message(self) -> Result<Message, MessageError> {
        match serde_json::to_string(&self.0) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(MessageError::new(error)),
        }
    }
}

/// The JSON of a value, in memory that the small messages of a thread share. For messages that are soon gone.
#[inline]
pub(crate) fn soon_gone<T: Serialize>(value: &T) -> Result<Text, MessageError> {
    let written = pieces::written(|out| serde_json::to_writer(out, value));
    let json = written.map_err(MessageError::new)?;
    Text::try_from(json).map_err(MessageError::new)
}

impl Text {
    /// The parts one after the other, in memory that the small messages of a thread share. For messages that are soon
    /// gone: it pins more than its own bytes.
    #[inline]
    pub(crate) fn joined<const N: usize>(parts: [&str; N]) -> Self {
        let joined = pieces::joined(&parts.map(str::as_bytes));
        // Parts of text make a text.
        Self::try_from(joined).unwrap_or_else(|_| parts.concat().into())
    }
}

/// Why a value cannot be written as a message, such as a map whose keys JSON does not allow.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the value cannot be written as a message: {0}")]
pub struct MessageError(Arc<dyn std::error::Error + Send + Sync>);

impl MessageError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into().into())
    }
}
