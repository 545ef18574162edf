//! Cancellation of requests in flight.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use tokio::sync::oneshot;

use crate::{
    Connection, RequestId,
    sync::{Mutex, Unpoisoned},
};

/// The requests in flight on the connection of a request, to cancel some of them: an argument of backend functions.
///
/// ```
/// use futures_util::{Stream, StreamExt, stream};
/// use serde::Deserialize;
/// use wasabi::{InFlight, prelude::*};
///
/// async fn ticks() -> Replies<impl Stream<Item = String>> {
///     Replies(stream::iter(0..).then(async |n| {
///         tokio::time::sleep(std::time::Duration::from_secs(1)).await;
///         format!("tick {n}")
///     }))
/// }
///
/// #[derive(Deserialize)]
/// struct Unsubscribe {
///     subscription: RequestId,
/// }
///
/// /// `{"do": "unsubscribe", "id": 8, "subscription": 7}` ends the stream of request 7.
/// #[backend]
/// async fn unsubscribe(Json(of): Json<Unsubscribe>, in_flight: InFlight) -> Json<bool> {
///     Json(in_flight.cancel(&of.subscription).await > 0)
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/do").id("/id"),
///     match key {
///         "ticks" => ticks,
///         "unsubscribe" => unsubscribe,
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// A function runs in a slot of its own. When as many requests are in flight as the channel's `concurrency` allows, it
/// starts only after one of them has ended; a parser that returns [`Envelope::cancel`](crate::Envelope::cancel) needs no
/// slot.
#[derive(Clone)]
pub struct InFlight(Connection);

impl InFlight {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// Cancels the requests of this connection that have this id, and returns their number. Usually it is one, or zero
    /// if no such request is in flight; it is more if the client has used the id several times.
    ///
    /// It can cancel requests in any state: running ones, those that wait for an upstream or for a free slot, and streams.
    /// The gateway drops their futures and answers them with the error [`cancelled`](crate::Error::Cancelled), once;
    /// nothing follows that of their replies. A request whose reply is a single message that only waits for the client is
    /// done, and its reply goes out. Requests of other connections are out of reach, and the request that awaits this is left alone,
    /// even if it has the same id. A task that the function has spawned can cancel as well, also that request.
    ///
    /// The future is ready as soon as the connection's task has cancelled the requests, also while the client takes no
    /// data. Dropping the future after its first poll does not take the cancellation back. Once the connection has ended,
    /// it returns 0.
    pub async fn cancel(&self, id: &RequestId) -> usize {
        let (ended, number) = oneshot::channel();
        let by = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let id = id.clone();
        Cancellation { id, by, ended }.ask(&self.0);
        // The connection ends without an answer.
        number.await.unwrap_or(0)
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlight").field(&self.0.id()).finish()
    }
}

/// Requests of a client that it cancels itself: those with an id.
#[derive(Debug)]
pub(crate) struct Cancelled {
    pub(crate) id: RequestId,
    /// Whether they are answered.
    pub(crate) answers: bool,
}

/// A cancellation by a function, which the connection's task has not carried out yet.
pub(crate) struct Cancellation {
    pub(crate) id: RequestId,
    /// Wakes the future that asked. The request in whose slot it runs is left alone.
    pub(crate) by: Waker,
    /// Takes the number of cancelled requests.
    pub(crate) ended: oneshot::Sender<usize>,
}

impl Cancellation {
    /// Has the connection's task carry it out. Nothing happens once the connection has ended.
    pub(crate) fn ask(self, connection: &Connection) {
        Cancellations::of(connection).add(self);
        connection.outbox().cancel();
    }

    /// Those that the connection's task has not carried out yet.
    pub(crate) fn take(connection: &Connection) -> Vec<Self> {
        match connection.known_state_of::<Cancellations>(Cancellations::ID) {
            Some(all) => std::mem::take(&mut *all.waiting.lock().unpoisoned()),
            None => Vec::new(),
        }
    }

    /// Answers the cancellations of a connection at once: no task will.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn answer_all(connection: &Connection, answer: usize) {
        let answered = || {
            Arc::new(Cancellations {
                answer: Some(answer),
                ..Cancellations::default()
            })
        };
        connection.state_of(Cancellations::ID, answered);
    }

    #[cfg(any(test, feature = "testing"))]
    fn answer(self, ended: usize) -> Self {
        let _ = self.ended.send(ended);
        Self {
            ended: oneshot::channel().0,
            ..self
        }
    }
}

/// The cancellations of a connection. They exist only if something has asked for one, so that others do not pay.
#[derive(Default)]
struct Cancellations {
    waiting: Mutex<Vec<Cancellation>>,
    /// What each is answered at once, on a connection without a task.
    #[cfg(any(test, feature = "testing"))]
    answer: Option<usize>,
}

impl Cancellations {
    /// The id under which a connection keeps them, beside the state of backends.
    const ID: u64 = u64::MAX;

    fn of(connection: &Connection) -> Arc<Self> {
        connection.state_of(Self::ID, Arc::default)
    }

    fn add(&self, cancellation: Cancellation) {
        #[cfg(any(test, feature = "testing"))]
        let cancellation = match self.answer {
            Some(answer) => cancellation.answer(answer),
            None => cancellation,
        };
        self.waiting.lock().unpoisoned().push(cancellation);
    }
}
