//! One live WebSocket connection, and the handle to it.

pub(crate) mod attached;
#[cfg(feature = "cache")]
mod client;
pub(crate) mod client_ip;
pub(crate) mod companions;
mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod held;
pub(crate) mod identity;
pub(crate) mod in_flight;
mod intercept;
#[cfg(all(test, wasabi_loom))]
mod models;
pub(crate) mod outbox;
pub(crate) mod peer;
#[cfg(feature = "tls")]
mod peer_certificates;
pub(crate) mod registry;
pub(crate) mod socket;
pub(crate) mod stash;
pub(crate) mod timer;
pub(crate) mod transport;
pub(crate) mod work;

use std::{
    any::Any,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::{FromRequestParts, Path, Query};
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, Uri};
use serde::de::DeserializeOwned;

#[cfg(feature = "cache")]
pub(crate) use self::client::Credentials;
pub(crate) use self::handshake::Handshake;
#[cfg(feature = "tls")]
pub use self::peer_certificates::PeerCertificates;
use self::{
    attached::{Attached, Companion},
    held::Held,
    identity::UserName,
    intercept::Intercepted,
    outbox::Outbox,
    peer::Hops,
    socket::Limits,
};
pub use self::{
    client_ip::ClientIp,
    identity::Identity,
    intercept::Intercept,
    outbox::{SendError, TrySendError},
    registry::{Broadcast, Group, Registry},
    stash::Stash,
};
use crate::{Close, Error, Message, metrics::Traffic};

/// A handle to one live connection: usable from anywhere, cheap to clone, and not what keeps it open.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn subscribe(connection: Connection) {
///     tokio::spawn(async move {
///         for n in 1..=3 {
///             if connection.send(format!("tick {n}")).await.is_err() {
///                 return; // the client has gone
///             }
///         }
///     });
/// }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Inner>, Option<Arc<Intercepted>>);

struct Inner {
    id: ConnectionId,
    handshake: Handshake,
    outbox: Outbox,
    held: Held,
    traffic: Traffic,
    limits: Limits,
    attached: Attached,
    #[cfg(feature = "cache")]
    client: std::sync::OnceLock<crate::digest::Digest>,
}

/// Identifies a connection: unique within the process, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        handshake: Handshake,
        outbox: Outbox,
        held: Held,
        traffic: Traffic,
        limits: Limits,
    ) -> Self {
        let inner = Inner {
            id,
            handshake,
            outbox,
            held,
            traffic,
            limits,
            attached: Attached::default(),
            #[cfg(feature = "cache")]
            client: std::sync::OnceLock::new(),
        };
        Self(Arc::new(inner), None)
    }

    /// Whether the two are copies of one handle, and neither intercepts.
    pub(crate) fn is_same_handle(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) && self.1.is_none() && other.1.is_none()
    }

    /// How many handles there are.
    #[cfg(test)]
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Queues a message and returns once it is in the queue; waits while the queue is full.
    ///
    /// Messages go out in the order in which they were queued. The queue is bounded by the channel's
    /// `max_waiting_messages` (messages) and `max_waiting_bytes` (bytes); one message may be larger than `max_waiting_bytes`, and then
    /// is alone in the queue. A client that takes nothing for the channel's `send_timeout` is closed with 1008,
    /// which ends the waiting.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        if self.1.is_none() {
            return self.0.outbox.send(message).await;
        }
        match self.outgoing(message.clone()) {
            Some(outgoing) => {
                let sent = self.0.outbox.send(outgoing).await;
                sent.map_err(|SendError(_)| SendError(message))
            }
            None => Ok(()),
        }
    }

    /// Queues a message, or gives it back when the queue is full or the connection closed. Never waits.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        let message = message.into();
        if self.1.is_none() {
            return self.0.outbox.try_send(message);
        }
        match self.outgoing(message.clone()) {
            Some(outgoing) => {
                let sent = self.0.outbox.try_send(outgoing);
                sent.map_err(|error| error.about(message))
            }
            None => Ok(()),
        }
    }

    /// What the interceptors make of a message.
    pub(crate) fn outgoing(&self, message: Message) -> Option<Message> {
        match &self.1 {
            Some(intercepted) => intercepted.send(message),
            None => Some(message),
        }
    }

    /// Closes the connection: what is queued and what is in flight goes out first, up to the channel's
    /// `close_timeout`, then the close frame. Returns at once; the first call decides code and reason.
    /// New messages of the client are answered with the error `closing` meanwhile, and what is in flight then still with
    /// the error `interrupted`.
    pub fn close(&self, close: impl Into<Close>) {
        let close = close.into();
        let close = match &self.1 {
            Some(intercepted) => intercepted.close(close),
            None => Some(close),
        };
        if let Some(close) = close {
            self.0.outbox.close(close);
        }
    }

    /// A handle to the same connection through which messages and closes go by way of `by`. This handle and all
    /// others are as before; so are replies, which do not go through handles. A middleware gives it to what is behind
    /// it with [`Request::with_connection`](crate::Request::with_connection); [`Intercept`] has an example.
    #[must_use]
    pub fn intercept(&self, by: impl Intercept) -> Self {
        let intercepted = Intercepted {
            by: Box::new(by),
            inner: self.1.clone(),
        };
        Self(Arc::clone(&self.0), Some(Arc::new(intercepted)))
    }

    /// Closes the connection with 4401 ([`CloseCode::EXPIRED`](crate::CloseCode::EXPIRED)) at this time, in the way of
    /// [`close`](Self::close), unless the time is moved meanwhile. With `None` it stays open.
    ///
    /// HTTP middleware sets the time from the expiry of an [`Identity`], and [`renew`](Self::renew) moves it.
    pub fn expire_at(&self, time: impl Into<Option<SystemTime>>) {
        self.0.outbox.expire_in(left_until(time.into()));
    }

    /// Waits for the end of the connection, whose last requests may still be carried on
    /// ([`Backend::owes_reply`](crate::Backend::owes_reply)), and tells how it ended: the close frame that the client sent, or the
    /// one that the server did, or [`CloseCode::ABNORMAL`](crate::CloseCode::ABNORMAL) when the connection broke.
    pub async fn closed(&self) -> Close {
        self.0.outbox.closed().await
    }

    /// Whether the connection has ended or is about to.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closing()
    }

    /// The peer's address; `None` behind a Unix socket. Behind a proxy it is the proxy's.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.handshake.remote_addr
    }

    /// The client's address as [`ClientIp`] middleware has found it out; without such middleware that of the peer.
    /// `None` when there is neither.
    pub fn client_ip(&self) -> Option<IpAddr> {
        let found = self.extensions().get().map(|ClientIp(ip)| *ip);
        found.or_else(|| Some(self.remote_addr()?.ip().to_canonical()))
    }

    /// The addresses that a request has come by, from the client to the peer, as far as they are trustworthy.
    pub(crate) fn hops(&self) -> impl Iterator<Item = IpAddr> {
        let peer = self.remote_addr().map(|addr| addr.ip().to_canonical());
        let client = self.client_ip();
        let named = self.extensions().get().map(|Hops(hops)| &**hops);
        // Middleware of the user's may have found out another client than ours has.
        let named = named.filter(|hops| hops.first().copied() == client);
        let client = client.filter(|ip| named.is_none() && Some(*ip) != peer);
        let named = named.unwrap_or_default().iter().copied();
        named.chain(client).chain(peer)
    }

    /// The scheme of the client's connection, as far as it is known.
    pub(crate) fn scheme(&self) -> Option<&'static str> {
        let secure = self.0.handshake.secure?;
        Some(if secure { "https" } else { "http" })
    }

    /// Who the client is: what it was [renewed](Self::renew) to, or what HTTP middleware that authenticates it has left.
    /// `None` where there is no [`Identity`] of this type.
    pub fn identity<T: Clone + Send + Sync + 'static>(&self) -> Option<Identity<T>> {
        match self.0.attached.renewed::<Identity<T>>() {
            Some(renewed) => Some((*renewed).clone()),
            None => self.extensions().get::<Identity<T>>().cloned(),
        }
    }

    /// Gives the client this identity, for requests that come from now on, and closes the connection when it expires,
    /// as [`expire_at`](Self::expire_at) does.
    ///
    /// [`BearerAuth::refresh`](crate::middleware::http::BearerAuth::refresh) is a route that verifies a new token and
    /// does this. Credentials of other kinds are looked at by a function, which begins the [`renewal`](Self::renewal)
    /// before it waits:
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{Error, prelude::*};
    ///
    /// # #[derive(Clone)] struct User;
    /// # async fn user_of(ticket: &str) -> Option<User> { None }
    /// async fn refresh(ticket: Text, connection: Connection) -> Result<()> {
    ///     let renewal = connection.renewal();
    ///     let Some(user) = user_of(&ticket).await else {
    ///         return Err(Error::new("unauthorized", "the ticket is not valid"));
    ///     };
    ///     renewal.finish(Identity::new(user).expires_in(Duration::from_secs(3600)));
    ///     Ok(())
    /// }
    /// ```
    pub fn renew<T: Clone + Send + Sync + 'static>(&self, identity: Identity<T>) {
        self.renewal().finish(identity);
    }

    /// A renewal that begins now, and is finished when it is known who the client is.
    ///
    /// Credentials that are verified slowly must not replace those that the client has sent later, and that were verified
    /// faster: what a renewal has found out counts only while none that has begun after it is finished.
    #[must_use = "it is finished with an identity"]
    pub fn renewal(&self) -> Renewal {
        Renewal {
            place: self.0.attached.place(),
            connection: self.clone(),
        }
    }

    /// What the log calls the client: the [name](Identity::named) of the identity that it was renewed to last, or else of
    /// that which HTTP middleware has left. `None` where there is no identity, or one without a name.
    pub fn user(&self) -> Option<Arc<str>> {
        match self.0.attached.user() {
            Some(renewed) => renewed,
            None => self
                .extensions()
                .get()
                .map(|UserName(name)| Arc::clone(name)),
        }
    }

    /// The value of this type that a [`Stash`] has made for the connection; `None` after its end.
    pub fn stash<T: Send + Sync + 'static>(&self) -> Option<Stash<T>> {
        Stash::of(self.extensions())
    }

    /// The URI of the handshake.
    pub fn uri(&self) -> &Uri {
        &self.0.handshake.uri
    }

    /// The parameters of the channel's path, deserialized: a single value, a tuple in the order of the path, or a
    /// struct with their names. `bad_request` when they do not fit.
    ///
    /// ```
    /// use wasabi::{Close, CloseCode, prelude::*};
    ///
    /// async fn greet(connection: Connection) -> Result<(), Close> {
    ///     // of channel("/v1/{tenant}", ..)
    ///     let Ok(tenant) = connection.path::<u32>() else {
    ///         return Err(Close::new(CloseCode::new(4404), "no such tenant"));
    ///     };
    ///     let _ = connection.send(format!("hello, tenant {tenant}")).await;
    ///     Ok(())
    /// }
    /// ```
    pub fn path<T: DeserializeOwned + Send>(&self) -> Result<T, Error> {
        // axum keeps the parameters in the handshake's extensions, in a type of its own.
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.extensions = self.extensions().clone();
        match Path::from_request_parts(&mut parts, &()).now_or_never() {
            Some(Ok(Path(parameters))) => Ok(parameters),
            Some(Err(error)) => Err(Error::bad_request(error.body_text())),
            None => Err(Error::internal(
                "the parameters of a path have to be waited for",
            )),
        }
    }

    /// The query of the handshake's URI, deserialized. `bad_request` when it does not fit.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match Query::try_from_uri(self.uri()) {
            Ok(Query(query)) => Ok(query),
            Err(error) => Err(Error::bad_request(error.body_text())),
        }
    }

    /// The headers of the handshake. They are kept with the connection: the channel's `max_header_size`, 16 KiB if not
    /// set, is how much that may be.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.handshake.headers
    }

    /// The subprotocol that was agreed upon.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.handshake.subprotocol.as_deref()
    }

    /// Typed values that HTTP middleware left in the handshake.
    pub fn extensions(&self) -> &Extensions {
        &self.0.handshake.extensions
    }

    /// What tells its client from others; the same for another connection with the same identity and handshake.
    #[cfg(feature = "cache")]
    pub(crate) fn client(&self) -> crate::digest::Digest {
        let client = *self.0.client.get_or_init(|| client::of(self));
        match self.0.attached.last_renewed() {
            Some(place) => client::renewed(client, self.id(), place),
            None => client,
        }
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn held(&self) -> &Held {
        &self.0.held
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// What the channel lets its clients send.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// The state that the backend with this id keeps for the connection.
    pub(crate) fn state_of<T: Any + Send + Sync>(
        &self,
        backend: u64,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        self.0.attached.value(backend, make)
    }

    /// Runs a future in the connection's task. It learns of the end of the connection, and of the requests that go on
    /// after it, by [`finished`](Outbox::finished), and may take a few seconds more then. `false` when that has come
    /// already.
    pub(crate) fn accompany(&self, companion: Companion) -> bool {
        let added = self.0.attached.add(companion);
        if added {
            self.0.outbox.wake();
        }
        added
    }

    pub(crate) fn take_companions(&self) -> Vec<Companion> {
        self.0.attached.take_companions()
    }

    /// The client has gone like this; what owes it nothing goes on.
    pub(crate) fn leave(&self, close: Close) {
        self.0.outbox.end(close);
    }

    /// The connection has ended like this.
    pub(crate) fn end(&self, close: Close) {
        self.0.outbox.end(close);
        self.0.held.set_waiting(0);
        self.0.outbox.finish();
        self.0.attached.end();
    }
}

/// The credentials of a client that are being verified anew: what [`Connection::renewal`] begins.
#[derive(Debug)]
pub struct Renewal {
    place: u64,
    connection: Connection,
}

impl Renewal {
    /// Gives the client this identity, as [`Connection::renew`] does. `false`, and everything stays as it is, when a
    /// renewal that has begun later has given it one of this type already.
    pub fn finish<T: Clone + Send + Sync + 'static>(self, identity: Identity<T>) -> bool {
        let inner = &self.connection.0;
        let left = left_until(identity.expiry());
        let user = identity.name().cloned();
        let expire = || inner.outbox.expire_in(left);
        inner.attached.renew(self.place, identity, user, expire)
    }
}

/// What is past already has no time left.
fn left_until(time: Option<SystemTime>) -> Option<Duration> {
    Some(time?.duration_since(SystemTime::now()).unwrap_or_default())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.0.id)
            .field("uri", &self.0.handshake.uri)
            .field("remote_addr", &self.0.handshake.remote_addr)
            .finish_non_exhaustive()
    }
}
