//! Why a request got no reply.

mod fault;

use std::{borrow::Cow, io::ErrorKind, time::Duration};

use http::StatusCode;

#[cfg(feature = "client")]
pub(crate) use self::fault::may_have_been_carried_out;
pub(crate) use self::fault::upstream_failed;
pub use self::fault::{Fault, Resend};
use crate::Close;

/// Any error: the source inside of an [`Error`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request got no reply.
///
/// Each variant has a stable [`code`](Error::code), which goes to the client together with a
/// [message](Error::client_message) that reveals no internals. The `Display` text is for logs.
///
/// # Sending again
///
/// The code also says whether the request may have been carried out, so that a client that resends does not order
/// twice:
///
/// * **Certainly not:** `closing` (resend over another connection), `rate_limited` and `overloaded` (resend later),
///   `breaker_open` and `upstream_unreachable` (resend later too), `no_route`, `bad_request`, `unreadable`, `no_key` and
///   `invalid_params` (the result would be the same).
/// * **Perhaps:** `interrupted`, `cancelled`, `timed_out`, `upstream_lost`, `upstream_status`, `upstream_invalid` and
///   `internal`.
///   Resend only a request that may run twice, or that carries an id by which the service recognises it.
///
/// A [`Retry`](crate::middleware::request::Retry) turns one request into several. The code is that of the last attempt;
/// an earlier attempt may have been carried out, unless the retry is
/// [`if_not_sent`](crate::middleware::request::Retry::if_not_sent).
///
/// [`fault`](Error::fault) says whose fault the error is, and [`resend`](Error::resend) whether the request may be sent
/// again. Retries, breakers, balanced groups, spans and metrics use these two.
///
/// A backend may fail with its own error type, if that converts into this one.
///
/// ```
/// use wasabi::Error;
///
/// enum OrderError {
///     OutOfStock,
///     Database(std::io::Error),
/// }
///
/// impl From<OrderError> for Error {
///     fn from(error: OrderError) -> Self {
///         match error {
///             OrderError::OutOfStock => Error::new("out_of_stock", "this item is sold out"),
///             OrderError::Database(error) => Error::internal(error),
///         }
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `bad_request`: the message cannot be understood; the text says why and goes to the client.
    #[error("bad request: {0}")]
    BadRequest(Cow<'static, str>),
    /// `unreadable`: the message is not in the format of the channel, such as JSON. The text goes to the client.
    #[error("unreadable: {0}")]
    Unreadable(Cow<'static, str>),
    /// `no_key`: the message has no routing key. The text goes to the client.
    #[error("no key: {0}")]
    NoKey(Cow<'static, str>),
    /// `invalid_params`: the request has a routing key, but its parameters do not fit. The text goes to the client.
    #[error("invalid parameters: {0}")]
    InvalidParams(Cow<'static, str>),
    /// `no_route`: nothing answers this routing key.
    #[error("no route for this key")]
    NoRoute,
    /// `timed_out`: no reply within this time; zero if the time is unknown.
    #[error("no reply {}", within(.0))]
    TimedOut(Duration),
    /// `rate_limited`: too many requests for now.
    #[error("rate limit reached")]
    RateLimited {
        /// When the next request may succeed; goes to the client as `retry_after_ms`.
        retry_after: Option<Duration>,
    },
    /// `overloaded`: too many concurrent requests.
    #[error("too many requests in flight")]
    Overloaded,
    /// `closing`: the connection is being closed and takes no more requests. Nothing has processed this one, so it is
    /// safe to send it again over another connection.
    #[error("the connection is being closed")]
    Closing,
    /// `interrupted`: the connection was closed while the request was being answered. It may have been carried out.
    #[error("the connection was closed before the answer")]
    Interrupted,
    /// `cancelled`: a later message of the client cancelled the request. It may have been carried out.
    #[error("the request was cancelled by its client")]
    Cancelled,
    /// `breaker_open`: the backend failed too often and is left alone for a while.
    #[error("circuit breaker is open")]
    BreakerOpen,
    /// `upstream_status`: the upstream answered with a status that is not a success. Built by
    /// [`upstream_status`](Error::upstream_status).
    #[error("upstream answered {status}")]
    UpstreamStatus {
        /// The status.
        status: StatusCode,
        /// When the upstream wants to be asked again, from its `Retry-After`; goes to the client as `retry_after_ms`.
        retry_after: Option<Duration>,
        /// Whether the upstream has seen the request. A WebSocket upstream that refused the handshake has not.
        seen: bool,
    },
    /// `upstream_unreachable`: no connection could be opened, so the upstream has not seen the request.
    #[error("upstream cannot be reached: {0}")]
    UpstreamUnreachable(#[source] BoxError),
    /// `upstream_lost`: the connection broke before the end of the answer. The upstream may have carried out the
    /// request.
    #[error("upstream was lost: {0}")]
    UpstreamLost(#[source] BoxError),
    /// `upstream_lost` too: the upstream closed the connection before the end of the answer, with a close frame. Codes
    /// like 1008 are about the client, others about the upstream.
    #[error("upstream closed the connection: {0}")]
    UpstreamClosed(Close),
    /// `upstream_invalid`: the answer breaks the protocol.
    #[error("upstream sent an invalid answer: {0}")]
    UpstreamInvalid(#[source] BoxError),
    /// `upstream_invalid` too: a valid answer that the gateway cannot pass on, such as one over the size limit or a
    /// text that is not UTF-8. A client may have provoked it.
    #[error("upstream sent an answer that cannot be passed on: {0}")]
    UpstreamUnfit(#[source] BoxError),
    /// The application's own error, with its code; both texts go to the client.
    #[error("{code}: {message}")]
    Application {
        /// The code, `snake_case` like the others.
        code: Cow<'static, str>,
        /// The message.
        message: Cow<'static, str>,
    },
    /// `internal`: anything else. The client learns only the code.
    #[error("internal error: {0}")]
    Internal(#[source] BoxError),
}

impl Error {
    /// The application's own error: `code` and `message` go to the client.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Application {
            code: code.into(),
            message: message.into(),
        }
    }

    /// A request that cannot be understood; `message` goes to the client.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(message.into())
    }

    /// A message that is not in the format of the channel; `message` goes to the client.
    pub fn unreadable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Unreadable(message.into())
    }

    /// A request whose parameters do not fit; `message` goes to the client.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidParams(message.into())
    }

    /// An internal error: the client sees only the code `internal`.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// An answer from the upstream with a status that is not a success, and without `Retry-After`.
    pub fn upstream_status(status: StatusCode) -> Self {
        Self::UpstreamStatus {
            status,
            retry_after: None,
            seen: true,
        }
    }

    /// The stable code, as sent to the client.
    pub fn code(&self) -> &str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Unreadable(_) => "unreadable",
            Self::NoKey(_) => "no_key",
            Self::InvalidParams(_) => "invalid_params",
            Self::NoRoute => "no_route",
            Self::TimedOut(_) => "timed_out",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Closing => "closing",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
            Self::BreakerOpen => "breaker_open",
            Self::UpstreamStatus { .. } => "upstream_status",
            Self::UpstreamUnreachable(_) => "upstream_unreachable",
            Self::UpstreamLost(_) | Self::UpstreamClosed(_) => "upstream_lost",
            Self::UpstreamInvalid(_) | Self::UpstreamUnfit(_) => "upstream_invalid",
            Self::Application { code, .. } => code,
            Self::Internal(_) => "internal",
        }
    }

    /// The text for the client. It reveals no internals, unless it was written for the client.
    pub fn client_message(&self) -> Cow<'_, str> {
        match self {
            Self::BadRequest(message)
            | Self::Unreadable(message)
            | Self::NoKey(message)
            | Self::InvalidParams(message)
            | Self::Application { message, .. } => Cow::Borrowed(message),
            Self::NoRoute => "no route for this key".into(),
            Self::TimedOut(_) => "no reply in time".into(),
            Self::RateLimited { .. } => "too many requests, retry later".into(),
            Self::Overloaded => "too many requests in flight".into(),
            Self::Closing => "the connection is being closed".into(),
            Self::Interrupted => {
                "the connection was closed before the answer; the request may have been carried out"
                    .into()
            }
            Self::Cancelled => "the request was cancelled".into(),
            Self::BreakerOpen => "temporarily unavailable".into(),
            Self::UpstreamStatus { status, .. } => {
                format!("upstream answered {}", status.as_u16()).into()
            }
            Self::UpstreamUnreachable(_) => "upstream cannot be reached".into(),
            Self::UpstreamLost(_) | Self::UpstreamClosed(_) => {
                "upstream was lost; the request may have been carried out".into()
            }
            Self::UpstreamInvalid(_) | Self::UpstreamUnfit(_) => {
                "upstream sent an invalid answer".into()
            }
            Self::Internal(_) => "internal error".into(),
        }
    }

    /// A copy of the error; it keeps only the texts of sources.
    pub(crate) fn duplicate(&self) -> Self {
        let text = |source: &BoxError| source.to_string().into();
        match self {
            Self::BadRequest(message) => Self::BadRequest(message.clone()),
            Self::Unreadable(message) => Self::Unreadable(message.clone()),
            Self::NoKey(message) => Self::NoKey(message.clone()),
            Self::InvalidParams(message) => Self::InvalidParams(message.clone()),
            Self::NoRoute => Self::NoRoute,
            Self::TimedOut(limit) => Self::TimedOut(*limit),
            Self::RateLimited { retry_after } => Self::RateLimited {
                retry_after: *retry_after,
            },
            Self::Overloaded => Self::Overloaded,
            Self::Closing => Self::Closing,
            Self::Interrupted => Self::Interrupted,
            Self::Cancelled => Self::Cancelled,
            Self::BreakerOpen => Self::BreakerOpen,
            Self::UpstreamStatus {
                status,
                retry_after,
                seen,
            } => Self::UpstreamStatus {
                status: *status,
                retry_after: *retry_after,
                seen: *seen,
            },
            Self::UpstreamUnreachable(source) => Self::UpstreamUnreachable(text(source)),
            Self::UpstreamLost(source) => Self::UpstreamLost(text(source)),
            Self::UpstreamClosed(close) => Self::UpstreamClosed(close.clone()),
            Self::UpstreamInvalid(source) => Self::UpstreamInvalid(text(source)),
            Self::UpstreamUnfit(source) => Self::UpstreamUnfit(text(source)),
            Self::Application { code, message } => Self::Application {
                code: code.clone(),
                message: message.clone(),
            },
            Self::Internal(source) => Self::Internal(text(source)),
        }
    }

    /// When the client may try again, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::UpstreamStatus { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

fn within(limit: &Duration) -> String {
    if limit.is_zero() {
        "in time".to_owned()
    } else {
        format!("within {limit:?}")
    }
}

/// An error that a function may return: any type that converts into [`Error`].
///
/// Implement `From<YourError> for wasabi::Error`, not this trait: see [`Error`].
#[diagnostic::on_unimplemented(
    message = "requests cannot fail with `{Self}`",
    label = "this error does not convert into `wasabi::Error`",
    note = "implement `From<{Self}> for wasabi::Error` with `wasabi::Error::new(code, message)`, which the client sees, or `wasabi::Error::internal(error)`, which it does not"
)]
pub trait IntoError {
    /// Converts it.
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> IntoError for E {
    fn into_error(self) -> Error {
        self.into()
    }
}

impl From<reqwest::Error> for Error {
    /// Classifies the error by what happened, so that a backend function that calls an HTTP service can use `?`, also
    /// on `error_for_status`. A request that could not be built is `internal`.
    fn from(mut error: reqwest::Error) -> Self {
        // The error is displayed, and these parts of a URL are where secrets usually are.
        if let Some(url) = error.url_mut() {
            url.set_query(None);
            url.set_fragment(None);
            // Fails if the URL has none.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let in_transit = sources(&error).find_map(|source| source.downcast_ref::<hyper::Error>());
        if error.is_builder() {
            Self::internal(error)
        } else if let Some(status) = error.status() {
            Self::upstream_status(status)
        } else if error.is_connect() {
            Self::UpstreamUnreachable(error.into())
        } else if error.is_timeout() {
            Self::TimedOut(Duration::ZERO)
        } else if in_transit.map_or(error.is_decode(), hyper::Error::is_parse)
            || sources(&error).any(is_malformed)
            || error.is_redirect()
        {
            Self::UpstreamInvalid(error.into())
        } else {
            Self::UpstreamLost(error.into())
        }
    }
}

/// hyper reports a malformed body by the kind of an `io::Error`; a broken connection has other kinds.
pub(crate) fn is_malformed(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::InvalidData | ErrorKind::InvalidInput))
}

/// An error and its causes.
pub(crate) fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Error {
    /// `internal`: an unparsable body from the client has already failed as a bad request in the [`Json`](crate::Json)
    /// extractor.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self::Internal(error),
        }
    }
}
