//! HTTP middleware that creates a connection's values.

use std::{
    any::type_name,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::request::Parts;
use tower::{Layer, Service};

use crate::{
    Connection, Error, FromConnection, FromRequest, Request, Result,
    connection::stash::{Stash, put},
    extract::also_when_ended,
};

impl<T: Send + Sync + 'static> Stash<T> {
    /// Creates HTTP middleware that makes a value from the head of each handshake.
    #[expect(clippy::new_ret_no_self, reason = "`Stash` is the name of both")]
    pub fn new<F>(make: F) -> StashLayer<F>
    where
        F: Fn(&Parts) -> T + Send + Sync + 'static,
    {
        StashLayer(Arc::new(make))
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Send + Sync + 'static> FromRequest<S> for Stash<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        of(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<T>(Source::Gateway, &["internal"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Send + Sync + 'static> FromConnection<S> for Stash<T> {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        of(connection)
    }
}

also_when_ended! {
    [T: Send + Sync + 'static] Stash<T>;
}

fn of<T: Send + Sync + 'static>(connection: &Connection) -> Result<Stash<T>> {
    connection.stash().ok_or_else(|| {
        let name = type_name::<T>();
        Error::internal(format!("no `Stash` of this channel provides a `{name}`"))
    })
}

/// Creates a [`Stash`] for each handshake: a `tower::Layer` for `http = [..]`.
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

/// The service that [`StashLayer`] creates.
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
        put(&mut head.extensions, value);
        self.inner.call(http::Request::from_parts(head, body))
    }
}
