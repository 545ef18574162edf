//! The metrics of a server.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    metrics::{self, Observation, Observer},
    runtime::Runtime,
};

/// The sources of a server's metrics.
pub(super) struct ServerFigures {
    pub(super) channels: Vec<Observer>,
    pub(super) runtime: Runtime,
    /// The free places for sockets; `max_sockets` is the total.
    pub(super) places: Arc<Semaphore>,
    pub(super) max_sockets: usize,
}

impl ServerFigures {
    /// Updates the process's metrics.
    pub(super) fn observe(&self) {
        let mut seen = Observation::default();
        for channel in &self.channels {
            channel.observe(&mut seen);
        }
        seen.publish();
        let free = self.places.available_permits();
        metrics::server(
            self.max_sockets.saturating_sub(free),
            self.runtime.held(),
            self.runtime.is_leaving(),
        );
    }
}

#[cfg(feature = "console")]
impl ServerFigures {
    /// The circuit breakers with their routes and states.
    pub(super) fn breakers(&self) -> Vec<(&'static str, &'static str)> {
        let mut seen = Observation::default();
        for channel in &self.channels {
            channel.observe(&mut seen);
        }
        seen.breakers()
    }
}

impl fmt::Debug for ServerFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFigures").finish_non_exhaustive()
    }
}
