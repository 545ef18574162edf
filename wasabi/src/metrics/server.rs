//! Metrics of a server.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use super::{Observation, Observer, names};
use crate::runtime::Runtime;

/// The sources of a server's metrics.
pub(crate) struct Figures {
    pub(crate) channels: Vec<Observer>,
    pub(crate) runtime: Runtime,
    /// The free places for sockets; `max_sockets` is the total.
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) max_sockets: usize,
}

impl Figures {
    /// Updates the process's metrics.
    pub(crate) fn observe(&self) {
        let mut seen = Observation::default();
        for channel in &self.channels {
            channel.observe(&mut seen);
        }
        seen.publish();
        let free = self.sockets.available_permits();
        let sockets = self.max_sockets.saturating_sub(free);
        let draining = if self.runtime.is_leaving() { 1.0 } else { 0.0 };
        metrics::gauge!(names::SOCKETS).set(sockets as f64);
        metrics::gauge!(names::WAITING_BYTES).set(self.runtime.held() as f64);
        metrics::gauge!(names::DRAINING).set(draining);
        metrics::counter!(names::CUT).increment(0);
    }
}

/// Counts the connections that a drain cuts.
pub(crate) fn cut(connections: usize) {
    metrics::counter!(names::CUT).increment(connections as u64);
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}
