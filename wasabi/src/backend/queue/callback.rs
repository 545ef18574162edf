//! Queues whose messages a user's function publishes.

use std::{fmt, future::pending, sync::Arc};

use super::{CorrelationId, Inbox, Outgoing, Queue, Session, Transport};
use crate::{BoxError, IntoError, Message, Request, Result};

/// The transport of [`Queue::callback`]: a function publishes the messages.
pub struct Callback<F>(Arc<F>);

impl<F, Fut, E> Queue<Callback<F>>
where
    F: Fn(Request, CorrelationId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: IntoError,
{
    /// Makes a queue that hands each request to a function, together with the id that [`respond`](Queue::respond) needs
    /// for the reply. What happens in between is up to you.
    ///
    /// If the function fails, the request fails with its error. The function may respond before it returns. It must
    /// finish within the [`publish_timeout`](Queue::publish_timeout), and the reply must arrive within the
    /// [`timeout`](Queue::timeout).
    ///
    /// ```
    /// use tokio::sync::mpsc;
    /// use wasabi::{BoxError, prelude::*};
    ///
    /// # fn example() {
    /// let (jobs, mut inbox) = mpsc::channel(100);
    /// let queue = Queue::callback(move |req: Request, id| {
    ///     let jobs = jobs.clone();
    ///     async move { jobs.send((id, req.message().clone())).await.map_err(BoxError::from) }
    /// });
    /// let replies = queue.inbox();
    /// tokio::spawn(async move {
    ///     while let Some((id, message)) = inbox.recv().await {
    ///         replies.reply(id, message);
    ///     }
    /// });
    /// let gateway = gateway!(channel("/", queue));
    /// # drop(gateway);
    /// # }
    /// ```
    pub fn callback(on_request: F) -> Self {
        Self::new(Callback(Arc::new(on_request)), "callback")
    }

    /// Delivers the reply to a request. Returns `false` if the reply was dropped, because the request already has a
    /// reply or has ended.
    ///
    /// The same as [`reply`](Inbox::reply) of the queue's [`inbox`](Queue::inbox).
    pub fn respond(&self, id: impl AsRef<str>, message: impl Into<Message>) -> bool {
        self.inbox().reply(id, message)
    }
}

impl<F, Fut, E> Transport for Callback<F>
where
    F: Fn(Request, CorrelationId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: IntoError,
{
    type Session = Self;

    async fn connect(&self, _inbox: Inbox) -> Result<Self, BoxError> {
        Ok(Self(Arc::clone(&self.0)))
    }
}

impl<F, Fut, E> Session for Callback<F>
where
    F: Fn(Request, CorrelationId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: IntoError,
{
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        (self.0)(message.request.clone(), message.id)
            .await
            .map_err(E::into_error)
    }

    async fn closed(&self) -> BoxError {
        pending().await
    }
}

impl<F> fmt::Debug for Callback<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(..)")
    }
}
