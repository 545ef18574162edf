//! Code common to all ways of authenticating a client.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use tower::Service;

use crate::{
    Close, CloseCode, Connection, Error, FromConnection, FromRequest, Request, Result,
    connection::Identity, extract::also_when_ended, upgrade::close_after_upgrade,
};

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Clone + Send + Sync + 'static> FromRequest<S> for Identity<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        of(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<T>(Source::Identity, &["internal"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync, T: Clone + Send + Sync + 'static> FromConnection<S> for Identity<T> {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        of(connection)
    }
}

also_when_ended! {
    [T: Clone + Send + Sync + 'static] Identity<T>;
}

fn of<T: Clone + Send + Sync + 'static>(connection: &Connection) -> Result<Identity<T>> {
    let identity = connection.identity();
    identity.ok_or_else(|| match connection.extensions().get() {
        Some(Anonymous) => Error::new("unauthorized", "authentication required"),
        None => Error::internal(unknown::<T>()),
    })
}

impl<S: Sync, T: Clone + Send + Sync + 'static> FromRequestParts<S> for Identity<T> {
    type Rejection = (StatusCode, String);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let identity = parts.extensions.get::<Self>();
        identity
            .cloned()
            .ok_or_else(|| match parts.extensions.get() {
                Some(Anonymous) => (
                    StatusCode::UNAUTHORIZED,
                    "authentication required".to_owned(),
                ),
                None => (StatusCode::INTERNAL_SERVER_ERROR, unknown::<T>()),
            })
    }
}

fn unknown<T>() -> String {
    let name = std::any::type_name::<T>();
    format!("no HTTP middleware of this channel provides an `Identity<{name}>`")
}

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The credentials are wrong or no longer valid: 401.
    #[error("the credentials are invalid")]
    Invalid,
    /// The client is known but may not connect: 403.
    #[error("access is forbidden")]
    Forbidden,
    /// The credentials cannot be verified at the moment: 503.
    #[error("credentials cannot be verified at the moment")]
    Unavailable,
}

/// The result of a verify function: `Option<Identity<T>>`, where `None` is [`Denied::Invalid`], or `Result<Identity<T>,
/// Denied>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a verify function",
    label = "expected `Option<Identity<T>>` or `Result<Identity<T>, Denied>`"
)]
pub trait Verdict {
    /// The identity of a client.
    type Identity: Clone + Send + Sync + 'static;

    /// Returns the identity, or why the client is refused.
    fn into_result(self) -> Result<Identity<Self::Identity>, Denied>;
}

impl<T: Clone + Send + Sync + 'static> Verdict for Option<Identity<T>> {
    type Identity = T;

    fn into_result(self) -> Result<Identity<T>, Denied> {
        self.ok_or(Denied::Invalid)
    }
}

impl<T: Clone + Send + Sync + 'static> Verdict for Result<Identity<T>, Denied> {
    type Identity = T;

    fn into_result(self) -> Self {
        self
    }
}

/// Marks a client without credentials, where they are optional.
#[derive(Debug, Clone, Copy)]
struct Anonymous;

/// A way to authenticate clients.
pub(super) trait Authenticate: Clone + Send + Sync + 'static {
    type Identity: Clone + Send + Sync + 'static;

    /// Authenticates a request by its head. [`challenge`](Self::challenge) makes the answer to one that is refused.
    fn authenticate(
        &self,
        head: &mut Parts,
    ) -> impl Future<Output = Result<Identity<Self::Identity>, Refused>> + Send;

    /// The value of `WWW-Authenticate` in the answer.
    fn challenge(&self, refused: Refused) -> HeaderValue;

    /// Whether clients without credentials are admitted.
    fn is_optional(&self) -> bool {
        false
    }

    /// Whether a refused WebSocket is accepted and then closed.
    fn refuses_by_close(&self) -> bool {
        false
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has no credentials.
    Missing,
    /// Its credentials cannot be parsed.
    Malformed,
    Denied(Denied),
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// A service that only authenticated requests reach.
#[derive(Debug, Clone)]
pub struct AuthService<S, A> {
    inner: S,
    auth: A,
}

impl<S, A> AuthService<S, A> {
    pub(super) fn new(inner: S, auth: A) -> Self {
        Self { inner, auth }
    }
}

impl<S, A, B> Service<http::Request<B>> for AuthService<S, A>
where
    S: Service<http::Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    A: Authenticate,
    B: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: http::Request<B>) -> Self::Future {
        let unready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, unready);
        let auth = self.auth.clone();
        Box::pin(async move {
            let (mut head, body) = req.into_parts();
            #[cfg(feature = "cache")]
            let credentials = crate::connection::Credentials::of(&head);
            match auth.authenticate(&mut head).await {
                Ok(identity) => {
                    #[cfg(feature = "cache")]
                    credentials.insert_into(&mut head.extensions);
                    identity.put(&mut head.extensions);
                    let response = inner.call(http::Request::from_parts(head, body)).await;
                    response.map(IntoResponse::into_response)
                }
                Err(Refused::Missing) if auth.is_optional() => {
                    head.extensions.insert(Anonymous);
                    let response = inner.call(http::Request::from_parts(head, body)).await;
                    response.map(IntoResponse::into_response)
                }
                Err(refused) => {
                    tracing::debug!(path = head.uri.path(), ?refused, "not authenticated");
                    let closed = match auth.refuses_by_close() {
                        true => close_after_upgrade(&mut head, close(refused)),
                        false => None,
                    };
                    Ok(closed.unwrap_or_else(|| refusal(refused, auth.challenge(refused))))
                }
            }
        })
    }
}

fn close(refused: Refused) -> Close {
    match refused {
        Refused::Denied(Denied::Forbidden) => Close::new(CloseCode::new::<4403>(), "forbidden"),
        Refused::Denied(Denied::Unavailable) => Close::new(
            CloseCode::TRY_AGAIN_LATER,
            "cannot authenticate at the moment",
        ),
        _ => Close::new(CloseCode::EXPIRED, "authentication required"),
    }
}

fn refusal(refused: Refused, challenge: HeaderValue) -> Response {
    let (status, text) = match refused {
        Refused::Denied(Denied::Forbidden) => (StatusCode::FORBIDDEN, "forbidden"),
        Refused::Denied(Denied::Unavailable) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "cannot authenticate at the moment",
        ),
        _ => (StatusCode::UNAUTHORIZED, "authentication required"),
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// Returns the text after the scheme in the only `Authorization` header, and marks the header so that no log shows it.
pub(super) fn credentials<'a>(head: &'a mut Parts, scheme: &str) -> Result<&'a str, Refused> {
    let header::Entry::Occupied(mut entry) = head.headers.entry(header::AUTHORIZATION) else {
        return Err(Refused::Missing);
    };
    let lines = entry
        .iter_mut()
        .map(|line| line.set_sensitive(true))
        .count();
    if lines > 1 {
        return Err(Refused::Malformed);
    }
    let line = entry.into_mut().to_str().map_err(|_| Refused::Malformed)?;
    let (given, credentials) = line.trim().split_once(' ').ok_or(Refused::Malformed)?;
    if given.eq_ignore_ascii_case(scheme) {
        Ok(credentials.trim_start())
    } else {
        Err(Refused::Malformed)
    }
}

/// Writes a quoted string (RFC 9110, section 5.6.4). Characters not allowed in one become `?`.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}
