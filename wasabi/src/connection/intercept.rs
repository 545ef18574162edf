//! Handles to a connection that change or block what passes through them.

use std::sync::Arc;

use crate::{Close, Message};

/// Sees the messages and closes that pass through a handle from
/// [`Connection::intercept`](crate::Connection::intercept), and may change or block them.
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
    /// Returns the message to send instead. `None` blocks it; the sender sees success.
    fn send(&self, message: Message) -> Option<Message> {
        Some(message)
    }

    /// Returns the close to use instead. `None` keeps the connection open.
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
