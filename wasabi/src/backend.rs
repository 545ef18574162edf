//! The end of the chain: the backends, which answer requests.

mod balance;
mod boxed;
pub(crate) mod broker;
mod credentials;
mod dial_memory;
mod function;
mod headers;
mod http;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(any(test, feature = "testing"))]
mod replaced;
mod retry_after;
mod subscriptions;
mod template;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "schema")]
mod told;
#[cfg(feature = "schema")]
mod typed;
mod websocket;

use std::sync::atomic::{AtomicU64, Ordering};

use ::http::request::Parts;
use axum::response::Response;
use futures_util::future::BoxFuture;

pub(crate) use self::http::install_tls_provider;
#[cfg(feature = "jwt")]
pub(crate) use self::http::{build_client, parse_url};
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::replaced::ReplacedUpstreams;
#[cfg(feature = "schema")]
pub(crate) use self::subscriptions::member;
pub use self::{
    balance::{Balance, Balancer, Group, HealthCheck, Picked, Probe, Way},
    boxed::BoxBackend,
    function::{Answer, Called, HandlerFn, IntoBackend, NotCalled, Returns, ViaBackend, ViaFuture},
    http::{Destined, Fixed, Framing, Http, HttpRequest, Lines, Sse, SseEvent, Target, With},
    subscriptions::Subscriptions,
    template::Template,
    websocket::WebSocket,
};
#[cfg(feature = "schema")]
pub use self::{
    told::{Knows, KnowsOf, Told},
    typed::Typed,
};
#[cfg(feature = "schema")]
use crate::schema::{Answers, Codes, Describer, HandshakePart, PassedOn};
use crate::{
    Connection, Error, Reply, Request, Result, connection::path_types::PathType, request::Route,
};

/// What a backend passes on of the client's handshake.
#[cfg(feature = "schema")]
fn passed_on<'a>(
    headers: impl Iterator<Item = &'a ::http::HeaderName>,
    query: impl Iterator<Item = &'a str>,
) -> Vec<PassedOn> {
    let of = |part| {
        move |name: &str| PassedOn {
            part,
            name: name.to_owned(),
            is_required: false,
        }
    };
    let headers = headers.map(::http::HeaderName::as_str);
    let headers = headers.map(of(HandshakePart::Header));
    headers.chain(query.map(of(HandshakePart::Query))).collect()
}

/// Makes the id under which a backend keeps its state in a connection.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The errors of backends that talk to an upstream.
#[cfg(feature = "schema")]
const CODES: [&str; 8] = [
    "bad_request",
    "internal",
    "overloaded",
    "timed_out",
    "upstream_invalid",
    "upstream_lost",
    "upstream_status",
    "upstream_unreachable",
];

/// Answers requests.
///
/// Most backends are functions. Implement the trait for a backend that has state. `S` is the type of the gateway's
/// state; be generic over it if the backend does not use it.
///
/// The gateway drops the future to cancel the request: the client has disconnected and no longer waits for a reply, or
/// a middleware has given up.
///
/// ```
/// use wasabi::prelude::*;
///
/// struct Greeting(String);
///
/// impl<S: Sync> Backend<S> for Greeting {
///     async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
///         Ok(Reply::message(format!("{}, {}", self.0, req.key())))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a backend for a gateway whose state is `{S}`",
    label = "cannot answer requests here",
    note = "a backend is an `async fn` of up to ten extractors, or a value that implements `Backend<{S}>`"
)]
pub trait Backend<S = ()>: Send + Sync {
    /// Answers one request.
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send;

    /// Whether the client waits for a reply to this request. The default is `true`.
    ///
    /// A request that owes no reply keeps running after its client has disconnected, with or without a close frame. So
    /// does one that was received before that and waits for other requests of its connection. It has the channel's
    /// [`close_timeout`](crate::Channel::close_timeout) to finish. At most `concurrency` of these requests run at the
    /// same time, and the connection keeps its place among `max_connections` meanwhile. `on_disconnect` runs after
    /// them. A request that owes a reply is cancelled, because nobody would learn its result.
    ///
    /// These backends owe no reply: functions that return `()`, or a `Result`, `Option` or `Vec` of it; a
    /// [`Queue`](crate::Queue) with `no_reply`; a [`WebSocket`](crate::WebSocket) for messages that are not matched
    /// with answers by [`correlate`](crate::WebSocket::correlate); and balanced nodes if none of them owes a reply. In a
    /// batch of a [`Protocol`](crate::Protocol), all requests owe a reply if one of them does. An error is not owed either:
    /// a client that wants to see its requests fail must wait before it closes.
    fn owes_reply(&self, req: &Request) -> bool {
        let _ = req;
        true
    }

    /// [`owes_reply`](Self::owes_reply), if `path` says which arms the request takes from here on.
    #[doc(hidden)]
    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        let _ = path;
        self.owes_reply(req)
    }

    /// The route that a key takes; `None` if the backend does not route by key.
    #[doc(hidden)]
    fn route(&self, key: &str) -> Option<Route> {
        let _ = key;
        None
    }

    /// Visits every part of this backend that takes part in the life of a connection.
    #[doc(hidden)]
    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        let _ = visit;
    }

    /// Says what it takes and answers.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut Describer) {
        to.answers(Answers::unknown::<Self>(Codes::unknown()));
    }
}

/// A backend's part in the life of a connection, besides answering requests.
pub trait Lifecycle {
    /// Checks the handshake before it is answered; an error refuses it.
    fn handshake(&self, parts: &Parts) -> Result<(), HandshakeError> {
        let _ = parts;
        Ok(())
    }

    /// Checks the settings once, when the gateway is built. An invalid setting prevents the gateway from being served.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The names of the client's headers and parameters that the backend passes on to an upstream.
    #[doc(hidden)]
    fn forwards(&self) -> Vec<String> {
        Vec::new()
    }

    /// The parameters of the channel's path that the upstream's URL uses.
    #[doc(hidden)]
    fn parameters(&self) -> Vec<String> {
        Vec::new()
    }

    /// The names of routes that are known only at run time, and of their backends.
    #[doc(hidden)]
    fn tabled(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// The types that a function reads from the channel's path.
    #[doc(hidden)]
    fn path_types(&self) -> Vec<PathType> {
        Vec::new()
    }

    /// The probe that checks the health of this backend in the given way; `None` if the backend does not support that
    /// way.
    #[doc(hidden)]
    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        let _ = way;
        None
    }

    /// Work that must finish before the handshake of a connection is accepted; a response refuses the handshake.
    #[doc(hidden)]
    fn prepare(&self, connection: &Connection) -> Option<Preparing> {
        let _ = connection;
        None
    }

    /// Reports the current state for metrics.
    #[doc(hidden)]
    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        let _ = seen;
    }

    /// Called when a connection has been opened.
    fn connected(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// The work before a handshake is accepted.
pub(crate) type Preparing = BoxFuture<'static, Result<(), Response>>;

/// Why a handshake is refused: 400 with this text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HandshakeError(pub String);

impl<S: Sync, B: Backend<S>> Backend<S> for std::sync::Arc<B> {
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        (**self).call(req, state)
    }

    fn owes_reply(&self, req: &Request) -> bool {
        (**self).owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        (**self).owes_reply_on(req, path)
    }

    fn route(&self, key: &str) -> Option<Route> {
        (**self).route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        (**self).lifecycle(visit);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut Describer) {
        (**self).describe(to);
    }
}

/// Answers every request with the error `no_route`. Use it as the target of `_ =>` if an unknown key is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRoute;

impl<S: Sync> Backend<S> for NoRoute {
    async fn call(&self, _req: Request, _state: &S) -> Result {
        Err(Error::NoRoute)
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut Describer) {
        to.answers(Answers::fails::<Self>(&["no_route"]));
    }
}
