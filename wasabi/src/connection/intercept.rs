//! Handles to a connection that change what goes through them.

use std::sync::Arc;

use crate::{Close, Message};

/// Sees what is sent and closed through the handle that [`Connection::intercept`](crate::Connection::intercept)
/// returns, and may change it or keep it back.
///
/// ```
/// use wasabi::{Intercept, prelude::*};
///
/// struct Tagged(&'static str);
///
/// impl Intercept for Tagged {
///     fn send(&self, message: Message) -> Option<Message> {
///         Some(format!("{}: {}", self.0, message.as_text()?).into())
///     }
/// }
///
/// async fn feed(connection: Connection) {
///     let connection = connection.intercept(Tagged("feed"));
///     let _ = connection.send("up").await; // the client gets `feed: up`
/// }
/// ```
pub trait Intercept: Send + Sync + 'static {
    /// What is sent instead of this message; with `None` nothing is, and the sender is told that it was.
    fn send(&self, message: Message) -> Option<Message> {
        Some(message)
    }

    /// How the connection is closed instead; with `None` it stays open.
    fn close(&self, close: Close) -> Option<Close> {
        Some(close)
    }
}

/// An interceptor around others.
pub(super) struct Intercepted {
    pub(super) by: Box<dyn Intercept>,
    pub(super) inner: Option<Arc<Self>>,
}

impl Intercepted {
    /// From the outermost to the innermost.
    pub(super) fn send(&self, message: Message) -> Option<Message> {
        let message = self.by.send(message)?;
        match &self.inner {
            Some(inner) => inner.send(message),
            None => Some(message),
        }
    }

    pub(super) fn close(&self, close: Close) -> Option<Close> {
        let close = self.by.close(close)?;
        match &self.inner {
            Some(inner) => inner.close(close),
            None => Some(close),
        }
    }
}
