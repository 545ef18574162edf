//! What the typed clients of [`Gateway::rust`](crate::Gateway) run on: one WebSocket connection to a gateway, requests
//! by id, and reconnecting.
//!
//! The generated file has a type with a method for each route; this module has what it does not generate. It is also
//! usable alone, with any key:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use wasabi::client::{Client, Handshake, Options, Url, Wire};
//!
//! # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! let options = Options::new().handshake(async || {
//!     let token = fresh_token().await?;
//!     Ok(Handshake::new().query("token", token))
//! });
//! let url = Url::new("ws://localhost:8080").text("/v1/").segment("acme");
//! let client = Client::connect(url, Wire::keyed(&["action"], &["id"]), options)?;
//! let body = serde_json::json!({ "item": "tea" });
//! let receipt: serde_json::Value = client.request::<_, String>("order.place", &body).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client connects by itself and again after a lost connection, with full jitter. **It never sends a message twice**:
//! a request that was sent when the connection ended fails with [`RequestError::Lost`]. One that was not sent yet waits
//! for the next connection, until its deadline. Only a group is followed anew on each connection: see [`Client::follow`].

mod calls;
mod dial;
mod error;
mod events;
mod following;
mod lost;
mod messages;
mod options;
mod pauses;
mod run;
mod shared;
mod state;
mod url;
mod wire;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use self::shared::{Shared, Waiting};
pub use self::{
    error::{GatewayError, NotSent, RequestError},
    events::{Event, Events, Unasked},
    following::{Following, Presence, Told},
    messages::Messages,
    options::{Handshake, Options},
    state::State,
    url::{InvalidUrl, Url},
    wire::Wire,
};
use crate::{Message, time::FOREVER};
#[doc(no_inline)]
pub use serde_json::Value;

/// A connection to one channel of a gateway, which is opened again when it is lost.
///
/// Clones share it. It ends with [`close`](Self::close), and when the last clone and the last of its
/// [`Messages`] are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Owner>,
    timeout: Duration,
}

/// Ends the connection when nobody needs it any more. The task that runs it has only what is shared.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Client {
    /// Begins to connect, and returns at once: [`state`](Self::state) tells how it goes.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidUrl`] if the base is not the `ws` or `wss` URL of a host, or if the gateway would refuse a
    /// segment of the path. `wss` needs the cargo feature `tls`.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn connect(url: Url, wire: Wire, options: Options) -> Result<Self, InvalidUrl> {
        let uri = url.finish()?;
        let timeout = options.timeout;
        let shared = Arc::new(Shared::new(wire, options));
        tokio::spawn(run::run(run::Ending(Arc::clone(&shared)), uri));
        Ok(Self {
            shared: Arc::new(Owner(shared)),
            timeout,
        })
    }

    /// The same connection, with another deadline for requests than that of [`Options::timeout`]:
    /// `client.with_timeout(LONG).request(..)`.
    #[must_use = "the client itself keeps its deadline"]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            timeout: timeout.min(FOREVER),
        }
    }

    /// Asks for one reply, at most until the deadline of [`Options::timeout`] or [`with_timeout`](Self::with_timeout).
    ///
    /// # Errors
    ///
    /// Returns [`RequestError`], which says whether the request may have been carried out.
    pub async fn request<T, C>(
        &self,
        key: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError<C>>
    where
        T: DeserializeOwned,
        C: DeserializeOwned,
    {
        let deadline = Instant::now() + self.timeout;
        let mut waiting = self.begin(key, body, false).map_err(RequestError::from)?;
        match timeout_at(deadline, waiting.values.recv()).await {
            Ok(Some(value)) => serde_json::from_value(value).map_err(RequestError::unreadable),
            Ok(None) => Err(waiting.failure()),
            Err(_) => Err(waiting.timed_out()),
        }
    }

    /// Asks for a reply that may not come: `None` after the deadline, if the request was sent.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub async fn request_maybe<T, C>(
        &self,
        key: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<Option<T>, RequestError<C>>
    where
        T: DeserializeOwned,
        C: DeserializeOwned,
    {
        match self.request(key, body).await {
            Ok(value) => Ok(Some(value)),
            Err(RequestError::TimedOut { was_sent: true, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for any number of replies. The request goes out at once; why it failed is the last item of the stream.
    pub fn stream<T, C>(&self, key: &str, body: &(impl Serialize + ?Sized)) -> Messages<T, C> {
        Messages::new(self.begin(key, body, true))
    }

    /// Follows a group by a route of [`Subscriptions`](crate::Subscriptions): from a position, or from now on. The request
    /// goes out at once. The stream remembers the position, and follows the group again from there when the connection was
    /// lost. From now on (`since` is `None`), its first item is [`Told::Gap`]: the stream does not have what was said before.
    ///
    /// The stream has no deadline: it waits for a connection, for the answer of the gateway, and for messages. It ends with an
    /// error: that of the gateway if it refuses, [`RequestError::Lost`] if the client has ended and the request was sent, or
    /// [`RequestError::NotSent`] if [`Options::limit`] requests wait at the moment when the group is followed again.
    ///
    /// A group is followed once at a time: otherwise the stream has nothing but [`RequestError::NotSent`]. One that is just
    /// being left is followed after that. A stream that is not read for so long that [`Options::buffer`] messages wait ends
    /// with [`RequestError::TooSlow`]; its [`position`](Following::position) is where to go on.
    pub fn follow<C>(&self, key: &str, group: &str, since: Option<&str>) -> Following<C> {
        Following::new(&self.shared, key, group, since)
    }

    /// Sends a message and waits for no reply. Returns its id.
    ///
    /// # Errors
    ///
    /// Returns [`NotSent`] if there is no connection, or if too much waits to be sent. A message that was accepted is
    /// lost if the connection ends before it is written: [`flush`](Self::flush) tells.
    pub fn send(&self, key: &str, body: &(impl Serialize + ?Sized)) -> Result<u64, NotSent> {
        let (id, text) = self.shared.0.write(key, body)?;
        self.shared.0.post(Message::from(text))?;
        Ok(id)
    }

    /// Sends a message as it is: on channels without keys.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn post(&self, message: impl Into<Message>) -> Result<(), NotSent> {
        self.shared.0.post(message.into())
    }

    /// Sends a value as JSON: on channels without keys.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn post_json(&self, message: &(impl Serialize + ?Sized)) -> Result<(), NotSent> {
        let text =
            serde_json::to_string(message).map_err(|error| NotSent::new(error.to_string()))?;
        self.shared.0.post(Message::from(text))
    }

    /// Waits until all that was sent before is written to the connection. That the gateway has read it, only a reply to a
    /// later request shows.
    ///
    /// # Errors
    ///
    /// Returns [`NotSent`] if there is no connection, or if it ends before: some messages may be lost.
    pub async fn flush(&self) -> Result<(), NotSent> {
        let shared = &self.shared.0;
        let flushed = shared.flushed()?.await;
        flushed.map_err(|_| NotSent::new(shared.why()))
    }

    /// The messages that no request waits for, from now on. At most as many as [`Options::buffer`] says wait to be taken;
    /// [`Events::missed`] counts the others.
    pub fn events<E: Event>(&self) -> Events<E> {
        Events::new(self.shared.0.subscribe())
    }

    /// How the connection is.
    pub fn state(&self) -> State {
        self.shared.0.state.borrow().clone()
    }

    /// Waits until the connection is open, or has ended for good, and returns which. Returns at once if it is.
    pub async fn opened(&self) -> State {
        let mut states = self.shared.0.state.subscribe();
        let is_settled = |state: &State| matches!(state, State::Open | State::Closed { .. });
        // The sender is here, so that it cannot be gone.
        match states.wait_for(is_settled).await {
            Ok(state) => state.clone(),
            Err(_) => self.state(),
        }
    }

    /// Ends the connection for good, for all clones, and returns at once. Requests that wait fail: with
    /// [`RequestError::Lost`] if they were sent, with [`RequestError::NotSent`] if not. Messages of [`send`](Self::send) and
    /// [`post`](Self::post) are still written, within a second, and then the close frame with the code 1000; so they are
    /// when the last clone is dropped. A program that ends meanwhile cuts this off: wait for [`closed`](Self::closed).
    pub fn close(&self) {
        // First the reason: once it is cancelled, the task has another.
        self.shared.0.end(1000, "closed by the client");
        self.shared.0.closing.cancel();
    }

    /// Waits until the connection has ended for good and nothing of it is left, and returns [`State::Closed`], which says
    /// why: [`close`](Self::close) was called, or the client does not [connect again](Options::reconnect). It ends nothing
    /// itself.
    pub async fn closed(&self) -> State {
        self.shared.0.closed.cancelled().await;
        self.state()
    }

    fn begin(
        &self,
        key: &str,
        body: &(impl Serialize + ?Sized),
        is_stream: bool,
    ) -> Result<Waiting, NotSent> {
        Shared::begin(&self.shared, key, body, is_stream)
    }
}
