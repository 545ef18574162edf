//! HTTP middleware: code around the handshake.

mod auth;
mod basic_auth;
mod bearer_auth;
mod client_ip;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "rate-limit")]
mod limit_clients;
mod refresh;
mod stash;

use std::convert::Infallible;

pub use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use std::future::ready;

use axum::routing::{MethodRouter, Route, any_service};
use tower::{Layer, Service, service_fn};

pub use crate::connection::{ClientIp, Identity, Stash};
use crate::mistakes;

#[cfg(feature = "jwt")]
pub use self::jwt::{Jwks, Jwt};
#[cfg(feature = "rate-limit")]
pub use self::limit_clients::{LimitClients, LimitClientsService};
pub use self::{
    auth::{AuthService, Denied, Verdict},
    basic_auth::{BasicAuth, Users},
    bearer_auth::BearerAuth,
    client_ip::{ClientIpLayer, ClientIpService},
    refresh::Refresh,
    stash::{StashLayer, StashService},
};
/// Code around the handshake of a channel: any `tower::Layer` that axum accepts, or a function with
/// `#[middleware(http)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP middleware",
    label = "is not allowed in `http = [..]`",
    note = "HTTP middleware is a `tower::Layer` around an axum service, or an `async fn` with `#[middleware(http)]`",
    note = "request middleware, which runs for every message, belongs in `middleware = [..]`"
)]
pub trait HttpMiddleware: Clone + Send + 'static {
    /// Wraps an endpoint in this middleware.
    fn apply(self, endpoint: MethodRouter) -> MethodRouter;

    /// Returns the mistakes in its settings. Called once, when the gateway is built.
    #[doc(hidden)]
    fn check(&self) -> Vec<String>;

    /// Says how clients log in.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn logins(&self) -> Vec<crate::schema::Login>;
}

#[diagnostic::do_not_recommend]
impl<L> HttpMiddleware for L
where
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<Request> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Response: IntoResponse + 'static,
    <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    fn apply(self, endpoint: MethodRouter) -> MethodRouter {
        endpoint.layer(self)
    }

    fn check(&self) -> Vec<String> {
        // `tower::Layer` has no method to report mistakes, but a layer reports them when it wraps an endpoint.
        let endpoint = any_service(service_fn(|_: Request| {
            ready(Ok::<Response, Infallible>(Response::default()))
        }));
        mistakes::told(|| {
            let _around: MethodRouter = endpoint.layer(self.clone());
        })
    }

    #[cfg(feature = "schema")]
    fn logins(&self) -> Vec<crate::schema::Login> {
        crate::schema::logins(|| drop(self.check()))
    }
}
