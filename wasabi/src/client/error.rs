//! Why a request has no reply.

use std::{error::Error, fmt, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::may_have_been_carried_out;

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

impl GatewayError {
    /// Whether the request may have been carried out, as [`Error`](crate::Error#sending-again) says of its code. `false`
    /// for an application's own codes: what they mean is up to it.
    pub fn may_have_been_carried_out(&self) -> bool {
        may_have_been_carried_out(&self.code)
    }
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
        /// Whether the request may have been carried out, as
        /// [`GatewayError::may_have_been_carried_out`] says.
        may_have_been_carried_out: bool,
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
        /// Why it was not sent, such as why the last attempt to connect failed; empty if it was sent.
        reason: String,
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
    /// Whether the request may have been carried out: do not send it again if it must not run twice. `false` if it was
    /// not sent, or if the gateway answered with a [code](crate::Error#sending-again) that says that it was not carried
    /// out. What the application's own codes say is up to it: they count as an answer, so `false`.
    pub fn may_have_been_carried_out(&self) -> bool {
        match self {
            Self::Gateway {
                may_have_been_carried_out,
                ..
            } => *may_have_been_carried_out,
            Self::NotSent { .. } => false,
            Self::TimedOut { was_sent, .. } => *was_sent,
            Self::Lost { .. } | Self::Unreadable { .. } | Self::TooSlow => true,
        }
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
                may_have_been_carried_out,
            } => match serde_json::from_value(Value::String(code)) {
                Ok(code) => RequestError::Gateway {
                    code,
                    message,
                    retry_after,
                    may_have_been_carried_out,
                },
                Err(error) => RequestError::unreadable(error),
            },
            Self::NotSent { reason } => RequestError::NotSent { reason },
            Self::Lost { reason } => RequestError::Lost { reason },
            Self::TimedOut { was_sent, reason } => RequestError::TimedOut { was_sent, reason },
            Self::Unreadable { reason } => RequestError::Unreadable { reason },
            Self::TooSlow => RequestError::TooSlow,
        }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway {
            may_have_been_carried_out: error.may_have_been_carried_out(),
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
            Self::TimedOut { was_sent: true, .. } => {
                f.write_str("no reply in time; the request may have been carried out")
            }
            Self::TimedOut { reason, .. } => write!(f, "not sent in time: {reason}"),
            Self::Unreadable { reason } => write!(f, "the reply cannot be read: {reason}"),
            Self::TooSlow => f.write_str("too many messages of the stream waited to be taken"),
        }
    }
}

impl<C: fmt::Debug> Error for RequestError<C> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_the_gateway_says_whether_the_request_may_have_been_carried_out() {
        let error = |code: &str| {
            Failure::from(GatewayError {
                code: code.to_owned(),
                message: String::new(),
                id: None,
                retry_after: None,
            })
        };
        for (code, may) in [
            ("interrupted", true),
            ("timed_out", true),
            ("upstream_lost", true),
            ("internal", true),
            ("cancelled", true),
            ("closing", false),
            ("overloaded", false),
            ("no_route", false),
            ("sold_out", false),
        ] {
            let typed = error(code).typed::<String>();
            assert_eq!(typed.may_have_been_carried_out(), may, "{code}");
        }
    }
}
