//! Why a request has no reply.

use std::{error::Error, fmt, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// An error of the gateway that no request waits for: of a message that was sent with
/// [`Client::send`](super::Client::send), or one that came too late.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayError {
    /// Its code, such as `bad_request`.
    pub code: String,
    /// What it says.
    pub message: String,
    /// The id of the request, if the gateway knows it.
    pub id: Option<String>,
    /// When to ask again, if the gateway says so.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for GatewayError {}

/// A message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSent {
    reason: String,
}

impl NotSent {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent: {}", self.reason)
    }
}

impl Error for NotSent {}

/// Why a request has no reply. `C` is the type of the codes of its route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError<C = String> {
    /// The gateway answered with an error.
    Gateway {
        /// The code.
        code: C,
        /// What the error says.
        message: String,
        /// When to ask again, if the gateway says so.
        retry_after: Option<Duration>,
    },
    /// The request was not sent, and will not be.
    NotSent {
        /// Why.
        reason: String,
    },
    /// The request was sent, and the connection ended before its reply: it may have been carried out. The client does not
    /// send it again.
    Lost {
        /// Why the connection ended.
        reason: String,
    },
    /// There was no reply before the deadline.
    TimedOut {
        /// Whether the request was sent. If so, it may have been carried out; if not, it is not sent any more.
        was_sent: bool,
    },
    /// There was a reply, but it is not of the expected type.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// More messages of a stream waited to be taken than [`Options::buffer`](super::Options::buffer) says.
    TooSlow,
}

impl<C> RequestError<C> {
    /// Whether the request was sent and nothing says what became of it.
    pub fn may_have_been_carried_out(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::TimedOut { was_sent: true })
    }

    pub(super) fn unreadable(error: serde_json::Error) -> Self {
        Self::Unreadable {
            reason: error.to_string(),
        }
    }
}

impl<C> From<NotSent> for RequestError<C> {
    fn from(error: NotSent) -> Self {
        Self::NotSent {
            reason: error.reason,
        }
    }
}

/// An error without the type of its codes.
pub(super) type Failure = RequestError<String>;

impl Failure {
    pub(super) fn typed<C: DeserializeOwned>(self) -> RequestError<C> {
        match self {
            Self::Gateway {
                code,
                message,
                retry_after,
            } => match serde_json::from_value(Value::String(code)) {
                Ok(code) => RequestError::Gateway {
                    code,
                    message,
                    retry_after,
                },
                Err(error) => RequestError::unreadable(error),
            },
            Self::NotSent { reason } => RequestError::NotSent { reason },
            Self::Lost { reason } => RequestError::Lost { reason },
            Self::TimedOut { was_sent } => RequestError::TimedOut { was_sent },
            Self::Unreadable { reason } => RequestError::Unreadable { reason },
            Self::TooSlow => RequestError::TooSlow,
        }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway {
            code: error.code,
            message: error.message,
            retry_after: error.retry_after,
        }
    }
}

impl<C: fmt::Debug> fmt::Display for RequestError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway { code, message, .. } => write!(f, "{code:?}: {message}"),
            Self::NotSent { reason } => write!(f, "not sent: {reason}"),
            Self::Lost { reason } => write!(
                f,
                "the connection ended before the reply: {reason}; the request may have been carried out"
            ),
            Self::TimedOut { was_sent: true } => {
                f.write_str("no reply in time; the request may have been carried out")
            }
            Self::TimedOut { was_sent: false } => f.write_str("not sent in time"),
            Self::Unreadable { reason } => write!(f, "the reply cannot be read: {reason}"),
            Self::TooSlow => f.write_str("too many messages of the stream waited to be taken"),
        }
    }
}

impl<C: fmt::Debug> Error for RequestError<C> {}
