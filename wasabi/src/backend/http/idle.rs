//! Connections to a host that wait for its next request.

use hyper::client::conn::http1::SendRequest;
use reqwest::Body;
use tokio::time::Instant;

/// The idle connections to a host, the one that has been idle longest first.
#[derive(Default)]
pub(super) struct Idle {
    pub(super) connections: Vec<Kept>,
    /// A task closes those that have been idle too long.
    pub(super) is_watched: bool,
}

/// A connection without a request.
pub(super) struct Kept {
    pub(super) sender: SendRequest<Body>,
    /// Not used for new requests from then on.
    pub(super) until: Instant,
    /// Closed then, unless a request takes it before.
    pub(super) closes: Instant,
}
