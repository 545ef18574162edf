//! How fast a client takes what it is sent.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum rate, in bytes per second, at which a client must take a waiting answer.
const LEAST_RATE: f64 = 1024.0;

/// Adds up the time that the server has waited for a client. A client that is slower than [`LEAST_RATE`], or takes
/// nothing at all, has `limit` in total. Time without data to send does not count.
pub(super) struct Pace {
    limit: Duration,
    /// The time waited since the client last reached the minimum rate.
    waited: Duration,
    taken: usize,
    waits_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            taken: 0,
            waits_since: None,
        }
    }

    /// The server begins to wait for the client. Returns when the client's time is over.
    pub(super) fn waits(&mut self) -> Instant {
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        since + self.limit.saturating_sub(self.waited)
    }

    /// When the client's time is over, if the server is waiting for it.
    #[cfg(feature = "http2")]
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.waits_since?;
        Some(since + self.limit.saturating_sub(self.waited))
    }

    /// The most bytes to wait for at once, small enough that a client at the minimum rate takes some in time.
    #[cfg(feature = "http2")]
    pub(super) fn piece(&self) -> usize {
        let half = LEAST_RATE * self.limit.as_secs_f64() / 2.0;
        half.clamp(1024.0, 16.0 * 1024.0) as usize
    }

    /// The server stops waiting: the client has taken this many bytes.
    pub(super) fn took(&mut self, bytes: usize) {
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
