//! Who a client is.

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Extensions;

/// Who the client is, as found by the verify function of [`BasicAuth`](crate::middleware::http::BasicAuth) or
/// [`BearerAuth`](crate::middleware::http::BearerAuth). It is an extractor for backend functions and axum handlers, and
/// derefs to `T`.
///
/// Elsewhere, use [`Connection::identity`](crate::Connection::identity).
///
/// ```
/// use wasabi::prelude::*;
///
/// #[derive(Clone)]
/// struct User {
///     name: String,
/// }
///
/// async fn greet(user: Identity<User>) -> String {
///     format!("hello, {}", user.name)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<T> {
    value: T,
    expires: Option<SystemTime>,
    name: Option<Arc<str>>,
}

impl<T> Identity<T> {
    /// An identity that does not expire.
    pub fn new(value: T) -> Self {
        Self {
            value,
            expires: None,
            name: None,
        }
    }

    /// Sets the client's name for the log. Log lines about failed requests carry it as `user`, and
    /// [`Connection::user`](crate::Connection::user) returns it for other uses. Default: the user name with
    /// `BasicAuth`, the claim `sub` with `Jwt`, otherwise none.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name for the log.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The identity is valid until this time. Then the connection is closed with 4401.
    /// [`Connection::expire_at`](crate::Connection::expire_at) has the details, and changes the time.
    #[must_use]
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// The identity is valid for this long from now; see [`expires_at`](Self::expires_at).
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires = SystemTime::now().checked_add(time);
        self
    }

    /// Puts the identity into the extensions of a handshake. The new connection has this identity, and is closed when
    /// it expires. Custom HTTP middleware uses it for a client that it has authenticated.
    ///
    /// ```
    /// use wasabi::{
    ///     middleware::http::{Next, Request, Response},
    ///     prelude::*,
    /// };
    ///
    /// # fn user_of(cookie: &str) -> Option<String> { None }
    /// #[middleware(http)]
    /// async fn login(mut request: Request, next: Next) -> Response {
    ///     let cookie = request.headers().get("cookie");
    ///     if let Some(user) = cookie.and_then(|cookie| user_of(cookie.to_str().ok()?)) {
    ///         Identity::new(user).insert_into(request.extensions_mut());
    ///     }
    ///     next.run(request).await
    /// }
    /// ```
    pub fn insert_into(self, extensions: &mut Extensions)
    where
        T: Clone + Send + Sync + 'static,
    {
        #[cfg(feature = "cache")]
        super::Credentials::unknown().insert_into(extensions);
        self.put(extensions);
    }

    pub(crate) fn put(self, extensions: &mut Extensions)
    where
        T: Clone + Send + Sync + 'static,
    {
        if let Some(time) = self.expires {
            extensions.insert(Expires(time));
        }
        if let Some(name) = &self.name {
            extensions.insert(UserName(Arc::clone(name)));
        }
        extensions.insert(self);
    }

    /// When the identity expires; `None` if never.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.expires
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Identity<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// When the identity of a connection that is being opened expires.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expires(pub(crate) SystemTime);

/// The log's name for the client of a connection that is being opened.
#[derive(Debug, Clone)]
pub(crate) struct UserName(pub(crate) Arc<str>);
