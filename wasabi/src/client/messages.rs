//! The replies of a stream.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::{NotSent, RequestError, shared::Waiting};

/// The replies of a request that has any number of them, as a `futures::Stream`.
///
/// The gateway does not say that there are no more, so that only an error ends it. Dropping it makes the client stop
/// listening, and on channels of [`JsonRpc`](crate::JsonRpc) makes the client end the subscription. Elsewhere give its
/// [`id`](Self::id) to a route that cancels; until the gateway has stopped, its messages are those that no request waits
/// for, and [`Events`](super::Events) has them.
///
/// A gateway that drains ends it with the code `interrupted`, or `closing` if it has not begun, shortly before it closes
/// the connection: ask again after a pause, as after [`RequestError::Lost`].
#[must_use = "dropping it ends the stream"]
pub struct Messages<T, C = String> {
    waiting: Option<Waiting>,
    id: Option<u64>,
    failure: Option<NotSent>,
    types: PhantomData<fn() -> (T, C)>,
}

impl<T, C> Messages<T, C> {
    pub(super) fn new(begun: Result<Waiting, NotSent>) -> Self {
        let (waiting, failure) = match begun {
            Ok(waiting) => (Some(waiting), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            id: waiting.as_ref().map(|waiting| waiting.id),
            waiting,
            failure,
            types: PhantomData,
        }
    }

    /// The id of the request; `None` if it could not be made.
    pub fn id(&self) -> Option<u64> {
        self.id
    }
}

impl<T: DeserializeOwned, C: DeserializeOwned> Stream for Messages<T, C> {
    type Item = Result<T, RequestError<C>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure.into())));
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(None);
        };
        let item = match ready!(waiting.values.poll_recv(cx)) {
            Some(value) => serde_json::from_value(value).map_err(RequestError::unreadable),
            None => Err(waiting.failure()),
        };
        if item.is_err() {
            self.waiting = None;
        }
        Poll::Ready(Some(item))
    }
}

impl<T, C> fmt::Debug for Messages<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
