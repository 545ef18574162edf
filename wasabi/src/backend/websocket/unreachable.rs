//! The reasons why an upstream connection failed, or a message did not get through.

use std::{io, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{Close, CloseCode, Error};

/// Why the upstream could not be connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("not accepted within {0:?}")]
    TimedOut(Duration),
    #[error("the handshake was answered {status}")]
    Refused {
        status: StatusCode,
        retry_after: Option<Duration>,
        /// `WWW-Authenticate` of a 401.
        challenges: Vec<HeaderValue>,
    },
    #[error("the answer to the handshake is invalid: {0}")]
    Invalid(&'static str),
    #[error("the upstream does not take the client's subprotocol")]
    Subprotocol,
    #[error("the handshake failed: {0}")]
    Broken(#[from] io::Error),
    #[error("cannot build the handshake: {0}")]
    Request(#[from] http::Error),
    #[error("the dialler panicked")]
    Panicked,
    #[error("cannot make a header: {0}")]
    Header(#[source] Error),
    #[error("cannot make the URL: {0}")]
    Url(#[source] Error),
    #[error("a function that makes a header panicked")]
    HeaderPanicked,
}

impl DialError {
    /// The error that requests fail with.
    pub(super) fn verdict(self: &Arc<Self>) -> Error {
        match **self {
            Self::Refused {
                status,
                retry_after,
                ..
            } => Error::UpstreamStatus {
                status,
                retry_after,
                seen: false,
            },
            // The client asked for the subprotocol.
            Self::Subprotocol => Error::UpstreamUnfit(Arc::clone(self).into()),
            Self::Request(_) | Self::HeaderPanicked => Error::Internal(Arc::clone(self).into()),
            Self::Header(Error::BadRequest(ref why)) | Self::Url(Error::BadRequest(ref why)) => {
                Error::BadRequest(why.clone())
            }
            Self::Header(_) | Self::Url(_) => Error::Internal(Arc::clone(self).into()),
            _ => Error::UpstreamUnreachable(Arc::clone(self).into()),
        }
    }

    /// The response that refuses a client's handshake because its upstream cannot be connected to.
    pub(super) fn refusal(self: &Arc<Self>) -> Response {
        let why = self.verdict().client_message().into_owned();
        let status = match **self {
            Self::Refused { status, .. }
                if status.is_client_error() || status.is_server_error() =>
            {
                status
            }
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Header(_) | Self::Url(_) => StatusCode::BAD_REQUEST,
            Self::HeaderPanicked | Self::Request(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut response = (status, why).into_response();
        if let Self::Refused {
            retry_after,
            challenges,
            ..
        } = &**self
        {
            let headers = response.headers_mut();
            if let Some(pause) = retry_after {
                // Rounded up: a client that comes back a moment too early has to come twice.
                let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            for challenge in challenges {
                headers.append(header::WWW_AUTHENTICATE, challenge.clone());
            }
        }
        response
    }
}

/// Why a message did not reach the upstream, or got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unreachable {
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// Before the message was sent.
    #[error("the upstream connection was lost")]
    Lost,
    #[error("the upstream connection was lost after the message was sent")]
    Cut,
    #[error("not reconnected within {0:?}")]
    TimedOut(Duration),
    /// The upstream has closed the connection.
    #[error("the upstream closed the connection: {0}")]
    Closed(Close),
    /// The upstream broke a rule, and was told so with this close.
    #[error("the upstream violated the protocol: {0}")]
    Broken(Close),
    /// The client's connection has ended.
    #[error("the client's connection is closed")]
    Ended,
}

impl Unreachable {
    /// The same reason for a message that has already been sent.
    pub(super) fn after_sending(self) -> Self {
        match self {
            Self::Lost | Self::Ended => Self::Cut,
            why => why,
        }
    }

    /// The error that a request fails with.
    pub(super) fn verdict(self) -> Error {
        match self {
            Self::Dial(error) => error.verdict(),
            Self::Lost | Self::TimedOut(_) => Error::UpstreamUnreachable(self.into()),
            Self::Cut => Error::UpstreamLost(self.into()),
            Self::Closed(close) => Error::UpstreamClosed(close),
            // A client can cause an answer that is too large, or not text.
            Self::Broken(Close {
                code: CloseCode::TOO_BIG | CloseCode::INVALID_PAYLOAD,
                ..
            }) => Error::UpstreamUnfit(self.into()),
            Self::Broken(_) => Error::UpstreamInvalid(self.into()),
            Self::Ended => Error::Closing,
        }
    }
}
