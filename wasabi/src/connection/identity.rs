//! Who a client is.

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Extensions;

/// Who the client is: what the verify function of [`BasicAuth`](crate::middleware::http::BasicAuth) or
/// [`BearerAuth`](crate::middleware::http::BearerAuth) has found out, and, as an extractor, what backend functions and axum handlers
/// take. It derefs to `T`.
///
/// Elsewhere there is [`Connection::identity`](crate::Connection::identity).
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

    /// The name under which the log knows the client: failed requests tell it as `user`, and
    /// [`Connection::user`](crate::Connection::user) gives it to whoever logs something else. `BasicAuth` takes the user
    /// name, and `Jwt` the claim `sub`, if not set; otherwise there is none.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name for the log.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The identity is good until this time. Then the connection is closed with 4401, as
    /// [`Connection::expire_at`](crate::Connection::expire_at) describes, which also moves it.
    #[must_use]
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// The identity is good for this long from now; see [`expires_at`](Self::expires_at).
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires = SystemTime::now().checked_add(time);
        self
    }

    /// Leaves the identity in the extensions of a handshake, for the connection to come, which is closed when it expires:
    /// what HTTP middleware of one's own does with a client that it knows.
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

    /// When the identity ends; `None` if never.
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

/// What the log calls the client of a connection that is being opened.
#[derive(Debug, Clone)]
pub(crate) struct UserName(pub(crate) Arc<str>);
