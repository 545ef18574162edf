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

impl Idle {
    /// Takes the connection that was used last.
    pub(super) fn take(&mut self, now: Instant) -> Option<Kept> {
        while let Some(kept) = self.connections.pop() {
            if now < kept.closes && !kept.sender.is_closed() {
                return Some(kept);
            }
        }
        None
    }

    /// Closes the connections whose time is over. Returns when to look again; `None` if there are none left.
    pub(super) fn close(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.connections
            .retain(|kept| now < kept.closes && !kept.sender.is_closed());
        let next = self.connections.iter().map(|kept| kept.closes).min();
        self.is_watched = next.is_some();
        next
    }
}

/// A connection without a request.
pub(super) struct Kept {
    pub(super) sender: SendRequest<Body>,
    /// Not used for new requests from then on.
    pub(super) until: Instant,
    /// Closed then, unless a request takes it before.
    pub(super) closes: Instant,
}
