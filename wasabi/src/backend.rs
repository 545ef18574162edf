//! The end of the chain: what answers requests.

mod balance;
mod credentials;
mod dial_memory;
mod function;
mod headers;
mod http;
#[cfg(feature = "queue")]
pub mod queue;
mod retry_after;
mod template;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

use std::sync::atomic::{AtomicU64, Ordering};

use ::http::request::Parts;
use axum::response::Response;
use futures_util::future::BoxFuture;

pub(crate) use self::http::install_tls_provider;
#[cfg(feature = "jwt")]
pub(crate) use self::http::{build_client, parse_url};
pub use self::{
    balance::{Balance, Balancer, Group, HealthCheck, Picked, Probe, Way},
    function::IntoBackend,
    http::{Framing, Http, HttpRequest, Lines, Sse, SseEvent},
    websocket::WebSocket,
};
use crate::{Connection, Error, Reply, Request, Result, request::Route};

/// Tells what a backend keeps for a connection from what others do.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Answers requests.
///
/// Most backends are functions; implement the trait for one that has a state of its own. `S` is the type of the
/// gateway's state: be generic over it when it is not used.
///
/// Dropping the future cancels the request: the client went away and waits for no reply any more, or a middleware gave
/// up.
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

    /// Whether the client waits for something to come back for this request; yes if not said otherwise.
    ///
    /// A request that owes no reply is carried on when its client has gone, with a close frame or without one: also one
    /// that was received before that and waits for others of its connection. It has as long as the channel's
    /// [`close_timeout`](crate::Channel::close_timeout); at most `concurrency` of them run at the same time, and the
    /// connection keeps its place among `max_connections` meanwhile. `on_disconnect` comes after them. A request that
    /// owes a reply is cancelled, since nobody would learn what became of it.
    ///
    /// Nothing is owed by functions that return `()`, or a `Result`, `Option` or `Vec` of it; by a
    /// [`Queue`](crate::Queue) with `no_reply`; by a [`WebSocket`](crate::WebSocket), where its upstream is not told to
    /// answer by [`correlate`](crate::WebSocket::correlate); and by nodes that share requests if none of them owes
    /// anything. Errors are not owed: a client that waits for its requests to fail waits before it closes.
    fn owes_reply(&self, req: &Request) -> bool {
        let _ = req;
        true
    }

    /// Which route a key takes; `None` where nothing is routed by key.
    #[doc(hidden)]
    fn route(&self, key: &str) -> Option<Route> {
        let _ = key;
        None
    }

    /// Shows every part of this backend that takes part in the life of a connection.
    #[doc(hidden)]
    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        let _ = visit;
    }
}

/// A backend's part in the life of a connection, beside answering requests.
pub trait Lifecycle {
    /// Looks at the handshake before it is answered; an error refuses it.
    fn handshake(&self, parts: &Parts) -> Result<(), HandshakeError> {
        let _ = parts;
        Ok(())
    }

    /// What is wrong with the settings; asked once, when the gateway is built. A mistake keeps the gateway from
    /// being served.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The names of the headers and parameters of a client that are passed on to an upstream.
    #[doc(hidden)]
    fn forwards(&self) -> Vec<String> {
        Vec::new()
    }

    /// The parameters of the channel's path that an upstream's URL has.
    #[doc(hidden)]
    fn parameters(&self) -> Vec<String> {
        Vec::new()
    }

    /// How this backend is asked in such a way whether it works; `None` if it knows no such way.
    #[doc(hidden)]
    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        let _ = way;
        None
    }

    /// What is to be done before the handshake of a connection is accepted; a response refuses it.
    #[doc(hidden)]
    fn prepare(&self, connection: &Connection) -> Option<Preparing> {
        let _ = connection;
        None
    }

    /// Tells what it is like now, for metrics.
    #[doc(hidden)]
    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        let _ = seen;
    }

    /// A connection has been opened.
    fn connected(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// What goes on before a handshake is accepted.
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

    fn route(&self, key: &str) -> Option<Route> {
        (**self).route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        (**self).lifecycle(visit);
    }
}

/// Answers every request with the error `no_route`: what stands behind `_ =>` when unknown keys are a mistake.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRoute;

impl<S: Sync> Backend<S> for NoRoute {
    async fn call(&self, _req: Request, _state: &S) -> Result {
        Err(Error::NoRoute)
    }
}
