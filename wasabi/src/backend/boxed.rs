//! Backends whose types are known only at run time.

use std::{any::type_name, sync::Arc};

use futures_util::future::BoxFuture;

use super::{Backend, IntoBackend, Lifecycle};
use crate::{Reply, Request, Result, connection::path_types::short, request::Route};

/// A backend of any type, chosen at run time: an element of a list, or a route of a [`RouteTable`](crate::RouteTable).
/// Cloning it clones a reference.
///
/// Each request costs one allocation, for the future of the backend inside, and a virtual call. What stands directly in
/// `gateway!` costs neither.
///
/// ```
/// use wasabi::{BoxBackend, prelude::*};
///
/// fn orders(url: Option<&str>) -> BoxBackend {
///     match url {
///         Some(url) => BoxBackend::new(Http::post(url)),
///         None => BoxBackend::new(async || "closed"),
///     }
/// }
///
/// let gateway = gateway!(channel("/", orders(Some("http://orders:8080/"))));
/// assert!(gateway.check().is_ok());
/// ```
pub struct BoxBackend<S = ()> {
    inner: Arc<dyn Erased<S>>,
    name: &'static str,
}

impl<S> BoxBackend<S> {
    /// Erases the type of a backend, or of a function of extractors.
    pub fn new<T, M>(target: T) -> Self
    where
        T: IntoBackend<S, M>,
        T::Backend: Backend<S> + 'static,
    {
        Self {
            inner: Arc::new(target.into_backend()),
            name: type_name::<T>(),
        }
    }

    /// The name of the type inside without its modules, or of the function.
    pub(crate) fn name(&self) -> String {
        short(self.name)
    }
}

impl<S> Clone for BoxBackend<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            name: self.name,
        }
    }
}

impl<S> std::fmt::Debug for BoxBackend<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoxBackend({})", self.name)
    }
}

impl<S: Sync> Backend<S> for BoxBackend<S> {
    async fn call(&self, req: Request, state: &S) -> Result<Reply> {
        self.inner.call(req, state).await
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.inner.owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        self.inner.owes_reply_on(req, path)
    }

    fn route(&self, key: &str) -> Option<Route> {
        self.inner.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.inner.lifecycle(visit);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        self.inner.describe(to);
    }
}

/// [`Backend`] with a boxed future.
trait Erased<S>: Send + Sync {
    fn call<'a>(&'a self, req: Request, state: &'a S) -> BoxFuture<'a, Result<Reply>>;
    fn owes_reply(&self, req: &Request) -> bool;
    fn owes_reply_on(&self, req: &Request, path: u64) -> bool;
    fn route(&self, key: &str) -> Option<Route>;
    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle));
    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer);
}

impl<S, B: Backend<S>> Erased<S> for B {
    fn call<'a>(&'a self, req: Request, state: &'a S) -> BoxFuture<'a, Result<Reply>> {
        Box::pin(Backend::call(self, req, state))
    }

    fn owes_reply(&self, req: &Request) -> bool {
        Backend::owes_reply(self, req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        Backend::owes_reply_on(self, req, path)
    }

    fn route(&self, key: &str) -> Option<Route> {
        Backend::route(self, key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        Backend::lifecycle(self, visit);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        Backend::describe(self, to);
    }
}
