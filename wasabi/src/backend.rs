//! The end of the chain: what answers requests.

mod balance;
mod function;
mod http;
#[cfg(feature = "queue")]
pub mod queue;
mod retry_after;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

use ::http::request::Parts;

pub(crate) use self::http::install_tls_provider;
#[cfg(feature = "jwt")]
pub(crate) use self::http::{build_client, parse_url};
pub use self::{
    balance::{Balance, BalanceError, Balancer, Picked},
    function::IntoBackend,
    http::{Http, HttpRequest},
    websocket::{Reconnect, WebSocket},
};
use crate::{Connection, Error, Reply, Request, Result, request::Route};

/// Answers requests.
///
/// Most backends are functions; implement the trait for one that has a state of its own. `S` is the type of the
/// gateway's state: be generic over it when it is not used.
///
/// Dropping the future cancels the request: the client went away, or a middleware gave up.
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

    /// A connection has been opened.
    fn connected(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// Why a handshake is refused: 400 with this text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HandshakeError(pub String);

impl<S: Sync, B: Backend<S>> Backend<S> for std::sync::Arc<B> {
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        (**self).call(req, state)
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
