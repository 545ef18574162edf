//! Values that belong to a connection.

use std::{
    any::type_name,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{Extensions, request::Parts};
use tower::{Layer, Service};

use crate::{Error, FromRequest, Request, Result, log::limited, panics::caught, sync::Unpoisoned};

/// A value that each connection has of its own: made by HTTP middleware from the handshake, freed when the connection
/// has ended and `on_disconnect` has run, however long handles to the connection are kept.
///
/// [`Stash::new`] is the middleware; as an extractor it derefs to the value. Requests of a connection run at the same
/// time and share it: what is to change stands in an atomic or a `Mutex`. Hooks find it with
/// [`Connection::stash`](crate::Connection::stash).
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use wasabi::{middleware::http::Stash, prelude::*};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// async fn count(visits: Stash<Visits>) -> String {
///     format!("message {}", visits.0.fetch_add(1, Ordering::Relaxed) + 1)
/// }
///
/// let gateway = gateway!(channel("/", http = [Stash::new(|_| Visits::default())], count));
/// # drop(gateway);
/// ```
pub struct Stash<T>(Arc<T>);

impl<T: Send + Sync + 'static> Stash<T> {
    /// HTTP middleware that makes a value from the head of each handshake.
    #[expect(clippy::new_ret_no_self, reason = "`Stash` is the name of both")]
    pub fn new<F>(make: F) -> StashLayer<F>
    where
        F: Fn(&Parts) -> T + Send + Sync + 'static,
    {
        StashLayer(Arc::new(make))
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Slot<T>>()?.value().map(Self)
    }
}

impl<T> Deref for Stash<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Stash<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Stash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stash").field(&self.0).finish()
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Send + Sync + 'static> FromRequest<S> for Stash<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        req.connection().stash().ok_or_else(|| {
            let name = type_name::<T>();
            Error::internal(format!("no `Stash` of this channel makes a `{name}`"))
        })
    }
}

/// The value of one connection, until it has ended.
struct Slot<T>(Arc<Mutex<Option<Arc<T>>>>);

impl<T> Slot<T> {
    fn value(&self) -> Option<Arc<T>> {
        let value = self.0.lock().unpoisoned();
        value.clone()
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

trait Free: Send + Sync {
    fn free(&self);
}

impl<T: Send + Sync> Free for Slot<T> {
    fn free(&self) {
        let value = self.0.lock().unpoisoned().take();
        // Not while it is locked: the destructor is the user's.
        if caught(|| drop(value)).is_err() {
            limited!(ERROR, "the destructor of a stashed value panicked");
        }
    }
}

/// All slots of a connection.
#[derive(Clone, Default)]
struct Slots(Vec<Arc<dyn Free>>);

/// Frees what a connection has stashed.
pub(crate) fn free(extensions: &Extensions) {
    for slot in extensions.get::<Slots>().iter().flat_map(|slots| &slots.0) {
        slot.free();
    }
}

/// Keeps a value for a connection that is being opened, until that has ended.
#[cfg(feature = "rate-limit")]
pub(super) fn until_end<T: Send + Sync + 'static>(extensions: &mut Extensions, value: T) {
    let slot = Slot(Arc::new(Mutex::new(Some(Arc::new(value)))));
    let slots = extensions.get_or_insert_default::<Slots>();
    slots.0.push(Arc::new(slot));
}

/// Makes a [`Stash`]: a `tower::Layer` for `http = [..]`.
pub struct StashLayer<F>(Arc<F>);

impl<F> Clone for StashLayer<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> fmt::Debug for StashLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StashLayer").finish_non_exhaustive()
    }
}

impl<S, F> Layer<S> for StashLayer<F> {
    type Service = StashService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        let make = self.clone();
        StashService { inner, make }
    }
}

/// What [`StashLayer`] makes of a service.
#[derive(Debug)]
pub struct StashService<S, F> {
    inner: S,
    make: StashLayer<F>,
}

impl<S: Clone, F> Clone for StashService<S, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            make: self.make.clone(),
        }
    }
}

impl<S, F, T, B> Service<http::Request<B>> for StashService<S, F>
where
    S: Service<http::Request<B>>,
    F: Fn(&Parts) -> T,
    T: Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: http::Request<B>) -> S::Future {
        let (mut head, body) = req.into_parts();
        let value = (self.make.0)(&head);
        let slot = Slot(Arc::new(Mutex::new(Some(Arc::new(value)))));
        let slots = head.extensions.get_or_insert_default::<Slots>();
        slots.0.push(Arc::new(slot.clone()));
        head.extensions.insert(slot);
        self.inner.call(http::Request::from_parts(head, body))
    }
}
