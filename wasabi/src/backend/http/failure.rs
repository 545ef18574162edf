//! Why a request got no response, and whether it may be sent again.

use std::io::{self, ErrorKind};

use super::origin::Outgoing;
use crate::{
    Error,
    error::{is_malformed, sources},
};

/// Why a request got no response.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection to the host.
    Connect(io::Error),
    /// The exchange failed on a connection of ours.
    Exchange(hyper::Error),
    /// The user's client failed.
    Given(reqwest::Error),
    /// The request cannot be sent.
    Request(Error),
}

impl Failure {
    /// Whether the connection ended before the response began. Usually it was kept alive, and the upstream closed it
    /// while the request was in transit (RFC 9112, section 9.3.1).
    pub(super) fn was_closed(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Request(_) => false,
            Self::Exchange(error) => is_closed(error),
            Self::Given(error) => {
                let is_other = error.is_connect() || error.is_timeout() || error.is_builder();
                !is_other && sources(error).skip(1).find_map(verdict).unwrap_or(false)
            }
        }
    }
}

fn is_closed(error: &hyper::Error) -> bool {
    sources(error).find_map(verdict).unwrap_or(false)
}

/// Whether this cause says that the connection ended; `None` if it says nothing about that.
fn verdict(error: &(dyn std::error::Error + 'static)) -> Option<bool> {
    if let Some(error) = error.downcast_ref::<hyper::Error>()
        && (error.is_incomplete_message() || error.is_canceled())
    {
        return Some(true);
    }
    let error = error.downcast_ref::<io::Error>()?;
    Some(matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    ))
}

impl Failure {
    /// The error of the request. Not `From`, because the compiler would list this type to users.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Connect(error) => Error::UpstreamUnreachable(error.into()),
            Self::Exchange(error) => in_transit(error),
            Self::Given(error) => error.into(),
            Self::Request(error) => error,
        }
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Exchange(error)
    }
}

/// An error of a response on its way.
pub(super) fn in_transit(error: hyper::Error) -> Error {
    if error.is_parse() || sources(&error).any(is_malformed) {
        Error::UpstreamInvalid(error.into())
    } else if error.is_user() {
        Error::internal(error)
    } else {
        Error::UpstreamLost(error.into())
    }
}

impl Outgoing {
    /// Whether repeating the request has the same effect as sending it once (RFC 9110, section 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        use http::Method;
        [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ]
        .contains(&self.method)
    }
}

/// An error of the decoder, or of the body beneath it.
#[cfg(feature = "decompress")]
pub(super) fn in_decoder(error: crate::BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::UpstreamInvalid(error),
    }
}
