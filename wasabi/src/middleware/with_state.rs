//! Middleware that uses the gateway's state.

use super::{Middleware, Next};
use crate::{Lifecycle, Reply, Request, Result, connection::path_types::PathType};

/// A request middleware of gateways whose state is `S`. Every [`Middleware`] is one for every state.
///
/// [`#[middleware]`](macro@crate::middleware) implements it for functions that take extractors. Implement it for a
/// struct that needs the state and cannot be written as a function:
///
/// ```
/// use std::sync::Arc;
/// use wasabi::{Error, FromRef, MiddlewareFor, prelude::*};
///
/// #[derive(Clone)]
/// struct Blocked(Arc<Vec<String>>);
///
/// struct Unblocked;
///
/// impl<S: Sync> MiddlewareFor<S> for Unblocked
/// where
///     Blocked: FromRef<S>,
/// {
///     async fn handle_with(&self, req: Request, state: &S, next: impl Next) -> Result<Reply> {
///         let Blocked(keys) = Blocked::from_ref(state);
///         if keys.iter().any(|key| key == req.key()) {
///             return Err(Error::new("blocked", "this request is blocked"));
///         }
///         next.run(req).await
///     }
/// }
///
/// let blocked = Blocked(Arc::new(vec!["debug".to_owned()]));
/// let gateway = gateway!(state = blocked, channel("/", middleware = [Unblocked], async |text: Text| text));
/// # drop(gateway);
/// ```
pub trait MiddlewareFor<S>: Send + Sync {
    /// Handles one request, as [`Middleware::handle`] does.
    fn handle_with(
        &self,
        req: Request,
        state: &S,
        next: impl Next,
    ) -> impl Future<Output = Result<Reply>> + Send;

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
        super::name_of::<Self>()
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

    /// The types that it reads from the path of the channel.
    #[doc(hidden)]
    fn path_types(&self) -> Vec<PathType> {
        Vec::new()
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, M: Middleware> MiddlewareFor<S> for M {
    #[inline(always)]
    fn handle_with(
        &self,
        req: Request,
        _state: &S,
        next: impl Next,
    ) -> impl Future<Output = Result<Reply>> + Send {
        self.handle(req, next)
    }

    fn check(&self) -> Result<(), String> {
        Middleware::check(self)
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        Middleware::codes(self)
    }

    #[cfg(feature = "schema")]
    fn middleware_name(&self) -> String {
        Middleware::middleware_name(self)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        Middleware::observe(self, seen);
    }

    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        Middleware::check_around(self, part)
    }
}
