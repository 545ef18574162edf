//! One live WebSocket connection, and the handle to it.

pub(crate) mod attached;
#[cfg(feature = "cache")]
mod client;
pub(crate) mod client_ip;
pub(crate) mod companions;
pub(crate) mod few;
mod handles;
mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod held;
pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod in_flight;
mod intercept;
pub(crate) mod linger;
#[cfg(all(test, wasabi_loom))]
mod models;
pub(crate) mod outbox;
pub(crate) mod path_types;
pub(crate) mod peer;
#[cfg(feature = "tls")]
mod peer_certificates;
pub(crate) mod registry;
mod renewal;
pub(crate) mod socket;
pub(crate) mod stall;
pub(crate) mod stash;
mod state;
pub(crate) mod timer;
pub(crate) mod transport;
pub(crate) mod work;

use std::{
    any::Any,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::extract::Query;
use http::{Extensions, HeaderMap, Uri};
use serde::de::DeserializeOwned;

#[cfg(feature = "cache")]
pub(crate) use self::client::Credentials;
#[cfg(feature = "tls")]
pub use self::peer_certificates::PeerCertificates;
use self::{
    attached::{Attached, Companion},
    held::Held,
    in_flight::Woken,
    intercept::Intercepted,
    outbox::Outbox,
    peer::Hops,
    socket::Limits,
};
pub use self::{
    client_ip::ClientIp,
    id::ConnectionId,
    identity::Identity,
    intercept::Intercept,
    outbox::{SendError, TrySendError},
    registry::{
        Addressed, Broadcast, ConnectionAddress, ConnectionInfo, Everywhere, Group, InvalidAddress,
        InvalidPosition, Joined, Kept, KeptMessage, KeptMessages, Member, NodeId, NodeInfo,
        NodeList, Page, Position, Presence, Published, Registry, Stored, User, UserClosed,
    },
    renewal::Renewal,
    stash::Stash,
};
pub(crate) use self::{handles::Tabled, handshake::Handshake, state::ConnectionState};
use crate::{Close, Error, IntoMessage, Message, metrics::Traffic};

/// A handle to one live connection. It is usable from anywhere, cheap to clone, and does not keep the connection open.
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
pub struct Connection(Arc<ConnectionState>, Option<Arc<Intercepted>>);

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        handshake: Handshake,
        outbox: Outbox,
        held: Held,
        traffic: Traffic,
        limits: Limits,
    ) -> Self {
        let state = ConnectionState {
            id,
            handshake,
            outbox,
            woken: Woken::default(),
            held,
            traffic,
            limits,
            attached: Attached::when_needed(),
            #[cfg(feature = "cache")]
            client: std::sync::OnceLock::new(),
        };
        Self(Arc::new(state), None)
    }

    /// The id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Queues a message. Waits while the queue is full, and returns once the message is in it.
    ///
    /// Messages go out in the order in which they were queued. The channel's `max_waiting_messages` (messages) and
    /// `max_waiting_bytes` (bytes) bound the queue; a single message may be larger than `max_waiting_bytes`, and is
    /// then alone in the queue. If the client takes less than 1 KiB a second for the channel's `send_timeout`, the
    /// connection is closed with 1008, which ends the wait.
    /// [`Json(value)`](crate::Json) is sent as text; if serde cannot write it, nothing is sent.
    pub async fn send(&self, message: impl IntoMessage) -> Result<(), SendError> {
        let message = message.into_message()?;
        if self.1.is_none() {
            return self.0.outbox.send(message).await;
        }
        match self.outgoing(message.clone()) {
            Some(outgoing) => {
                let sent = self.0.outbox.send(outgoing).await;
                sent.map_err(|error| error.about(message))
            }
            None => Ok(()),
        }
    }

    /// Queues a message, or gives it back if the queue is full or the connection is closed. Never waits.
    pub fn try_send(&self, message: impl IntoMessage) -> Result<(), TrySendError> {
        let message = message.into_message()?;
        if self.1.is_none() {
            return self.0.outbox.try_send(message);
        }
        match self.outgoing(message.clone()) {
            Some(outgoing) => {
                (self.0.outbox.try_send(outgoing)).map_err(|error| error.about(message))
            }
            None => Ok(()),
        }
    }

    /// Passes a message through the interceptors.
    pub(crate) fn outgoing(&self, message: Message) -> Option<Message> {
        match &self.1 {
            Some(intercepted) => intercepted.send(message),
            None => Some(message),
        }
    }

    /// Closes the connection. Queued messages and requests in flight are finished first, for up to the channel's
    /// `close_timeout`; the close frame follows. Returns at once. The first call decides code and reason.
    ///
    /// Meanwhile, new messages from the client are answered with the error `closing`. Requests that are still in flight
    /// at the end of the timeout are answered with the error `interrupted`.
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

    /// Returns a handle to the same connection that passes messages and closes through `by` first. This handle and all
    /// others stay as they are, and so do replies, which do not go through handles. A middleware gives the new handle
    /// to the rest of its chain with [`Request::with_connection`](crate::Request::with_connection); [`Intercept`] has
    /// an example.
    #[must_use]
    pub fn intercept(&self, by: impl Intercept) -> Self {
        let intercepted = Intercepted {
            by: Box::new(by),
            inner: self.1.clone(),
        };
        Self(Arc::clone(&self.0), Some(Arc::new(intercepted)))
    }

    /// Waits until the connection has ended and returns how: the client's close frame, the server's close frame, or
    /// [`CloseCode::ABNORMAL`](crate::CloseCode::ABNORMAL) if the connection broke. Requests that owe no reply
    /// ([`Backend::owes_reply`](crate::Backend::owes_reply)) may still be running then.
    pub async fn closed(&self) -> Close {
        self.0.outbox.closed().await
    }

    /// Whether the connection has ended or is about to.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closing()
    }

    /// The peer's address; `None` behind a Unix socket. Behind a proxy, it is the proxy's address.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.handshake.remote_addr
    }

    /// The client's address as found by [`ClientIp`] middleware; without such middleware, the peer's address. `None` if
    /// neither is known.
    pub fn client_ip(&self) -> Option<IpAddr> {
        let found = self.extensions().get().map(|ClientIp(ip)| *ip);
        found.or_else(|| Some(self.remote_addr()?.ip().to_canonical()))
    }

    /// The addresses that a request has passed, from the client to the peer, as far as they can be trusted.
    pub(crate) fn hops(&self) -> impl Iterator<Item = IpAddr> {
        let peer = self.remote_addr().map(|addr| addr.ip().to_canonical());
        let client = self.client_ip();
        let named = self.extensions().get().map(|Hops(hops)| &**hops);
        // The user's middleware may have found another client than `ClientIp` has.
        let named = named.filter(|hops| hops.first().copied() == client);
        let client = client.filter(|ip| named.is_none() && Some(*ip) != peer);
        let named = named.unwrap_or_default().iter().copied();
        named.chain(client).chain(peer)
    }

    /// The scheme of the client's connection, if known.
    pub(crate) fn scheme(&self) -> Option<&'static str> {
        let secure = self.0.handshake.secure?;
        Some(if secure { "https" } else { "http" })
    }

    /// The value of this type that a [`Stash`] made for the connection; `None` once the connection has ended.
    pub fn stash<T: Send + Sync + 'static>(&self) -> Option<Stash<T>> {
        Stash::of(self.extensions())
    }

    /// The URI of the handshake.
    pub fn uri(&self) -> &Uri {
        self.0.handshake.uri()
    }

    /// The parameters of the channel's path, deserialized: a single value, a tuple in the order of the path, or a
    /// struct with their names.
    ///
    /// Fails with `bad_request` if the client's values do not fit, and with `internal` if no value could: for another
    /// number of parameters, or a field that no parameter has.
    ///
    /// ```
    /// use wasabi::{Close, CloseCode, prelude::*};
    ///
    /// async fn greet(connection: Connection) -> Result<(), Close> {
    ///     // of channel("/v1/{tenant}", ..)
    ///     let Ok(tenant) = connection.path::<u32>() else {
    ///         return Err(Close::new(CloseCode::new::<4404>(), "no such tenant"));
    ///     };
    ///     let _ = connection.send(format!("hello, tenant {tenant}")).await;
    ///     Ok(())
    /// }
    /// ```
    pub fn path<T: DeserializeOwned + Send>(&self) -> Result<T, Error> {
        path_types::read(self.extensions())
    }

    /// The query of the handshake's URI, deserialized. Fails with `bad_request` if it does not fit.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match Query::try_from_uri(self.uri()) {
            Ok(Query(query)) => Ok(query),
            Err(error) => Err(Error::bad_request(error.body_text())),
        }
    }

    /// The headers of the handshake, without those that only ask for the upgrade: `connection`, `upgrade`, and
    /// `sec-websocket-key`, `-version` and `-extensions`. HTTP middleware sees these too.
    ///
    /// The connection keeps the headers in the form in which they were sent, and from the first call of this method or of
    /// [`uri`](Self::uri) also as a map. The channel's `max_header_size` (default: 16 KiB) limits their size.
    pub fn headers(&self) -> &HeaderMap {
        self.0.handshake.headers()
    }

    /// The negotiated subprotocol.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.handshake.subprotocol.as_deref()
    }

    /// Typed values that HTTP middleware left in the handshake. Those of axum's router are not among them.
    pub fn extensions(&self) -> &Extensions {
        &self.0.handshake.extensions
    }

    /// Distinguishes clients: equal for connections with the same identity and handshake.
    #[cfg(feature = "cache")]
    pub(crate) fn client(&self) -> crate::digest::Digest {
        let client = *self.0.client.get_or_init(|| client::of(self));
        match self
            .0
            .attached
            .get()
            .and_then(|attached| attached.last_renewed())
        {
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

    /// Limits on what clients of the channel may send.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// The state that this backend keeps for the connection.
    pub(crate) fn state_of<T: Any + Send + Sync>(
        &self,
        backend: u64,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        self.0.attached().value(backend, make)
    }

    /// The same, if it has been made.
    pub(crate) fn known_state_of<T: Any + Send + Sync>(&self, backend: u64) -> Option<Arc<T>> {
        self.0.attached.get()?.known_value(backend)
    }

    /// Runs a future in the connection's task. [`finished`](Outbox::finished) tells the future when the connection, and
    /// the requests that outlive it, have ended; it may run a few seconds longer. Returns `false` if they have ended
    /// already.
    pub(crate) fn accompany(&self, companion: Companion) -> bool {
        let added = self.0.attached().add(companion);
        if added {
            self.0.outbox.wake();
        }
        added
    }

    pub(crate) fn take_companions(&self) -> Vec<Companion> {
        let attached = self.0.attached.get();
        attached.map_or_else(Vec::new, |attached| attached.take_companions())
    }

    /// The client has left; requests that owe it no reply continue.
    pub(crate) fn leave(&self, close: Close) {
        self.0.outbox.end(close);
    }

    /// The connection and its requests have ended.
    pub(crate) fn end(&self, close: Close) {
        self.0.outbox.end(close);
        self.0.held.set_waiting(0);
        self.0.outbox.finish();
        self.0.attached().end();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.0.id)
            .field("uri", self.0.handshake.uri())
            .field("remote_addr", &self.0.handshake.remote_addr)
            .finish_non_exhaustive()
    }
}
