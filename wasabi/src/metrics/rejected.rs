//! Why a handshake is refused.

use axum::response::Response;

/// Why the channel itself refuses a handshake. Refusals by HTTP middleware in front of it are counted by status only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The requested host is not among `hosts`.
    Host,
    /// The request is not a WebSocket handshake.
    Handshake,
    Origin,
    HeaderSize,
    /// A backend requires something that the handshake lacks.
    Request,
    Draining,
    /// The channel has `max_connections` already.
    Full,
    /// A backend could not reach its upstream.
    Upstream,
    /// The credentials are refused, by a close after the upgrade.
    Credentials,
}

impl Rejected {
    #[cfg(feature = "metrics")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Handshake => "handshake",
            Self::Origin => "origin",
            Self::HeaderSize => "header_size",
            Self::Request => "request",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::Upstream => "upstream",
            Self::Credentials => "credentials",
        }
    }

    /// Records this reason in the answer.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_mut, reason = "nobody reads the reason")
    )]
    pub(crate) fn mark(self, mut response: Response) -> Response {
        #[cfg(feature = "metrics")]
        response.extensions_mut().insert(self);
        response
    }
}
