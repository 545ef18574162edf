//! The phase of a server, and how others learn of it.

use std::net::SocketAddr;
#[cfg(feature = "metrics")]
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::watch;

#[cfg(feature = "metrics")]
use super::figures::ServerFigures;

/// The phase of a server. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServerPhase {
    Serving,
    /// Probes see the drain, but everything is still served.
    Leaving,
    Draining,
    /// The server waits only for HTTP requests that are being answered.
    Closing,
    Stopped,
}

/// Shared by a server, its handles and its signal handlers.
#[derive(Debug)]
pub(super) struct Control {
    phase: watch::Sender<ServerPhase>,
    /// The addresses of TCP listeners, once the server listens.
    addrs: watch::Sender<Option<Addrs>>,
    /// Set while the server serves.
    #[cfg(feature = "metrics")]
    figures: OnceLock<Weak<ServerFigures>>,
}

/// The addresses of a server's TCP listeners.
#[derive(Debug, Clone, Default)]
pub(super) struct Addrs {
    pub(super) public: Vec<SocketAddr>,
    pub(super) admin: Option<SocketAddr>,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(ServerPhase::Serving),
            addrs: watch::Sender::new(None),
            #[cfg(feature = "metrics")]
            figures: OnceLock::new(),
        }
    }

    /// The server listens on these addresses.
    pub(super) fn bound(&self, addrs: Addrs) {
        self.addrs.send_replace(Some(addrs));
    }

    /// Waits until the server listens.
    pub(super) async fn addrs(&self) -> Addrs {
        let mut addrs = self.addrs.subscribe();
        loop {
            if let Some(addrs) = &*addrs.borrow_and_update() {
                return addrs.clone();
            }
            // The sender lives in `self`.
            let _ = addrs.changed().await;
        }
    }

    /// Observes these figures from now on.
    #[cfg(feature = "metrics")]
    pub(super) fn serves(&self, figures: &Arc<ServerFigures>) {
        self.figures.get_or_init(|| Arc::downgrade(figures));
        figures.observe();
    }

    /// Brings the process's metrics up to date.
    pub(super) fn observe(&self) {
        #[cfg(feature = "metrics")]
        if let Some(figures) = self.figures.get().and_then(Weak::upgrade) {
            figures.observe();
        }
    }

    /// The circuit breakers with their routes; a route that has several has the worst state.
    #[cfg(feature = "console")]
    pub(super) fn breakers(&self) -> Vec<(&'static str, &'static str)> {
        let figures = self.figures.get().and_then(Weak::upgrade);
        figures.map_or_else(Vec::new, |figures| figures.breakers())
    }

    pub(super) fn set(&self, phase: ServerPhase) {
        self.phase.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }

    /// Waits until the server is in this phase or a later one.
    pub(super) async fn wait_for(&self, phase: ServerPhase) {
        // The sender lives in `self`, so it cannot be gone.
        let _ = self
            .phase
            .subscribe()
            .wait_for(|current| *current >= phase)
            .await;
    }
}
