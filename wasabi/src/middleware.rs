//! Request middleware: code around each message.

#[cfg(feature = "rate-limit")]
mod full_at;
pub mod http;
pub mod request;
mod with_state;

use std::{
    future::{Ready, ready},
    marker::PhantomData,
};

use futures_util::future::Either;

pub use self::with_state::MiddlewareFor;
use crate::{
    Backend, Connection, Lifecycle, Reply, Request, Result,
    backend::{HandshakeError, Preparing, Probe, Way},
    connection::path_types::PathType,
    request::Route as RequestRoute,
};

/// Code around the rest of a request's chain.
///
/// A struct with one `async fn`; usually written as a function with [`#[middleware]`](macro@crate::middleware). One that
/// needs the gateway's state is a [`MiddlewareFor`].
///
/// ```
/// use wasabi::prelude::*;
///
/// struct Allow(&'static str);
///
/// impl Middleware for Allow {
///     async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
///         if req.key() != self.0 {
///             return Err(wasabi::Error::NoRoute);
///         }
///         next.run(req).await
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request middleware",
    label = "is not allowed in `middleware = [..]`",
    note = "annotate an `async fn(req: Request, next: impl Next) -> Result<Reply>` with `#[middleware]`, or implement `Middleware`",
    note = "HTTP middleware, such as a tower layer, belongs in `http = [..]`"
)]
pub trait Middleware: Send + Sync {
    /// Handles one request. It may run the rest of the chain once, not at all, or several times.
    fn handle(&self, req: Request, next: impl Next) -> impl Future<Output = Result<Reply>> + Send;

    /// Puts this middleware around a backend that is not declared in `gateway!`, such as a route of a
    /// [`RouteTable`](crate::RouteTable). In `gateway!`, write `with([..], target)`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{BoxBackend, RouteTable, prelude::*};
    ///
    /// let orders = Timeout::new(Duration::from_secs(2)).around(Http::post("http://orders:8080/"));
    /// let routes: RouteTable = RouteTable::new().route("orders", BoxBackend::new(orders));
    /// # drop(routes);
    /// ```
    fn around<B>(self, backend: B) -> Stack<Self, B>
    where
        Self: Sized,
    {
        Stack::new(self, backend)
    }

    /// Returns an error if a setting is invalid. Called once, when the gateway is built.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The codes of the errors that it adds to those of the rest of the chain.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::unknown()
    }

    /// Its name, for people.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn middleware_name(&self) -> String {
        name_of::<Self>()
    }

    /// Reports its current state, for metrics.
    #[doc(hidden)]
    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        let _ = seen;
    }

    /// Returns an error if it must not wrap this part of a backend. Called once, when the gateway is built.
    #[doc(hidden)]
    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        let _ = part;
        Ok(())
    }
}

impl<M: Middleware> Middleware for std::sync::Arc<M> {
    fn check(&self) -> Result<(), String> {
        (**self).check()
    }

    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        (**self).check_around(part)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        (**self).observe(seen);
    }

    fn handle(&self, req: Request, next: impl Next) -> impl Future<Output = Result<Reply>> + Send {
        (**self).handle(req, next)
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        (**self).codes()
    }

    #[cfg(feature = "schema")]
    fn middleware_name(&self) -> String {
        (**self).middleware_name()
    }
}

/// The name of a middleware's type, for people.
#[cfg(feature = "schema")]
fn name_of<M: ?Sized>() -> String {
    let name = crate::connection::path_types::short(std::any::type_name::<M>());
    name.split('<').next().unwrap_or_default().to_owned()
}

/// What `#[middleware]` makes of a function without arguments before the request: a function that returns the middleware.
impl<F, M> Middleware for F
where
    F: Fn() -> &'static M + Send + Sync,
    M: Middleware + 'static,
{
    fn check(&self) -> Result<(), String> {
        self().check()
    }

    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        self().check_around(part)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        self().observe(seen);
    }

    fn handle(&self, req: Request, next: impl Next) -> impl Future<Output = Result<Reply>> + Send {
        self().handle(req, next)
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        self().codes()
    }

    #[cfg(feature = "schema")]
    fn middleware_name(&self) -> String {
        self().middleware_name()
    }
}

/// The rest of the chain. It is a copyable reference, so it can run again with a clone of the request.
pub trait Next: Copy + Send + Sync {
    /// Runs the rest of the chain. Dropping the future cancels it.
    fn run(self, req: Request) -> impl Future<Output = Result<Reply>> + Send;
}

/// Two lifetimes, because a single one, the shorter of the two, would not be among those that the future may capture.
struct Rest<'b, 's, B, S> {
    backend: &'b B,
    state: &'s S,
}

impl<B, S> Clone for Rest<'_, '_, B, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B, S> Copy for Rest<'_, '_, B, S> {}

impl<S: Sync, B: Backend<S>> Next for Rest<'_, '_, B, S> {
    fn run(self, req: Request) -> impl Future<Output = Result<Reply>> + Send {
        self.backend.call(req, self.state)
    }
}

/// Sits between the middleware of a channel and its target. Requests whose message is invalid end here.
#[derive(Debug)]
pub struct Valid<B>(B);

impl<B> Valid<B> {
    /// Passes only valid requests to `target`.
    pub const fn new(target: B) -> Self {
        Self(target)
    }
}

impl<S: Sync, B: Backend<S>> Backend<S> for Valid<B> {
    #[inline]
    fn call(&self, mut req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        match req.take_invalid() {
            None => Either::Left(self.0.call(req, state)),
            Some(error) => Either::Right(refused(error)),
        }
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.0.owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        self.0.owes_reply_on(req, path)
    }

    fn route(&self, key: &str) -> Option<RequestRoute> {
        self.0.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.0.lifecycle(visit);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        self.0.describe(to);
    }
}

#[cold]
fn refused(error: crate::Error) -> Ready<Result<Reply>> {
    ready(Err(error))
}

/// A middleware and what it wraps. A chain is a nest of these.
#[derive(Debug)]
pub struct Stack<M, B> {
    middleware: M,
    inner: B,
}

impl<M, B> Stack<M, B> {
    /// Puts `middleware` around `inner`.
    pub const fn new(middleware: M, inner: B) -> Self {
        Self { middleware, inner }
    }
}

impl<S: Sync, M: MiddlewareFor<S>, B: Backend<S>> Backend<S> for Stack<M, B> {
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        let backend = &self.inner;
        self.middleware
            .handle_with(req, state, Rest { backend, state })
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.inner.owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        self.inner.owes_reply_on(req, path)
    }

    fn route(&self, key: &str) -> Option<RequestRoute> {
        self.inner.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        let middleware = &self.middleware;
        visit(&Itself(middleware, PhantomData));
        self.inner.lifecycle(&mut |part| {
            let state = PhantomData;
            visit(&Around {
                middleware,
                part,
                state,
            });
        });
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        let (name, codes) = (self.middleware.middleware_name(), self.middleware.codes());
        to.middleware(name, &codes, &|to| self.inner.describe(to));
    }
}

/// A middleware, as a part with settings.
struct Itself<'a, M, S>(&'a M, PhantomData<fn(S)>);

impl<S, M: MiddlewareFor<S>> Lifecycle for Itself<'_, M, S> {
    fn check(&self) -> Result<(), String> {
        self.0.check()
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        self.0.observe(seen);
    }

    fn path_types(&self) -> Vec<PathType> {
        self.0.path_types()
    }
}

/// A part of a backend, inside a middleware.
struct Around<'a, M, S> {
    middleware: &'a M,
    part: &'a dyn Lifecycle,
    state: PhantomData<fn(S)>,
}

impl<S, M: MiddlewareFor<S>> Lifecycle for Around<'_, M, S> {
    fn handshake(&self, parts: &::http::request::Parts) -> Result<(), HandshakeError> {
        self.part.handshake(parts)
    }

    fn check(&self) -> Result<(), String> {
        self.part.check()?;
        self.middleware.check_around(self.part)
    }

    fn forwards(&self) -> Vec<String> {
        self.part.forwards()
    }

    fn parameters(&self) -> Vec<String> {
        self.part.parameters()
    }

    fn path_types(&self) -> Vec<PathType> {
        self.part.path_types()
    }

    fn tabled(&self) -> Vec<(&'static str, &'static str)> {
        self.part.tabled()
    }

    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        self.part.probe(way)
    }

    fn prepare(&self, connection: &Connection) -> Option<Preparing> {
        self.part.prepare(connection)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        self.part.observe(seen);
    }

    fn connected(&self, connection: &Connection) {
        self.part.connected(connection);
    }
}
