//! How fast a client takes what is sent to it.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second that a client takes at least while an answer waits for it.
pub(crate) const LEAST_RATE: f64 = 1024.0;

/// Adds up how long the server has waited for a client. A client that takes less than [`LEAST_RATE`] meanwhile has
/// `limit` in all; one that takes nothing has the same. Time in which the server has nothing to send does not count.
pub(crate) struct Pace {
    limit: Duration,
    /// Since the client was last as fast as it must be.
    waited: Duration,
    taken: usize,
    waits_since: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            taken: 0,
            waits_since: None,
        }
    }

    /// The server waits for the client now; tells when its time is over.
    pub(crate) fn waits(&mut self) -> Instant {
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        since + self.limit.saturating_sub(self.waited)
    }

    /// When the time of the client is over, if the server waits for it.
    #[cfg(feature = "http2")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let since = self.waits_since?;
        Some(since + self.limit.saturating_sub(self.waited))
    }

    /// The most bytes to wait for at once, so that a client that is fast enough is seen to take some in time.
    #[cfg(feature = "http2")]
    pub(crate) fn piece(&self) -> usize {
        let half = LEAST_RATE * self.limit.as_secs_f64() / 2.0;
        half.clamp(1024.0, 16.0 * 1024.0) as usize
    }

    /// The server does not wait any more, for the client has taken so many bytes.
    pub(crate) fn took(&mut self, bytes: usize) {
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
        if self.waited.is_zero() {
            return;
        }
        self.taken += bytes;
        if self.taken as f64 >= LEAST_RATE * self.waited.as_secs_f64() {
            self.waited = Duration::ZERO;
            self.taken = 0;
        }
    }
}
