//! Stopping a server: by signal, by hand, gracefully or at once.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    Close, CloseCode, metrics,
    runtime::{Runtime, restart},
};

/// The phase of a server. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
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
    phase: watch::Sender<Phase>,
    /// The addresses of TCP listeners, once the server listens.
    addrs: watch::Sender<Option<Addrs>>,
    /// Set while the server serves.
    #[cfg(feature = "metrics")]
    figures: std::sync::OnceLock<std::sync::Weak<metrics::Figures>>,
}

#[derive(Debug, Clone)]
struct Addrs {
    public: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Serving),
            addrs: watch::Sender::new(None),
            #[cfg(feature = "metrics")]
            figures: std::sync::OnceLock::new(),
        }
    }

    pub(super) fn bound(&self, public: Vec<SocketAddr>, admin: Option<SocketAddr>) {
        self.addrs.send_replace(Some(Addrs { public, admin }));
    }

    /// Observes these figures from now on.
    #[cfg(feature = "metrics")]
    pub(super) fn serves(&self, figures: &Arc<metrics::Figures>) {
        self.figures.get_or_init(|| Arc::downgrade(figures));
        figures.observe();
    }

    /// Brings the process's metrics up to date.
    pub(super) fn observe(&self) {
        #[cfg(feature = "metrics")]
        if let Some(figures) = self.figures.get().and_then(std::sync::Weak::upgrade) {
            figures.observe();
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }

    /// Waits until the server is in this phase or a later one.
    pub(super) async fn wait_for(&self, phase: Phase) {
        // The sender lives in `self`, so it cannot be gone.
        let _ = self
            .phase
            .subscribe()
            .wait_for(|current| *current >= phase)
            .await;
    }
}

/// Watches and stops a [`Server`](super::Server) from elsewhere. Clones are the same handle.
///
/// ```no_run
/// use wasabi::prelude::*;
///
/// # async fn told_to_stop() {}
/// #[tokio::main]
/// async fn main() -> Result<(), ServeError> {
///     let server = Server::bind("127.0.0.1:0").signals(false);
///     let handle = server.handle();
///     tokio::spawn(async move {
///         println!("listening on {}", handle.addr().await);
///         told_to_stop().await;
///         handle.drain();
///     });
///     server.serve(gateway!(channel("/", async |text: Text| text))).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ServerHandle(Arc<Control>);

impl ServerHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self(control)
    }

    /// Waits until the server listens, and returns the first address that is not a Unix socket. Never returns if the
    /// server fails to listen or has no such address.
    pub async fn addr(&self) -> SocketAddr {
        match self.addrs().await.first() {
            Some(addr) => *addr,
            None => std::future::pending().await,
        }
    }

    /// Waits until the server listens, and returns its addresses without Unix sockets, in the order in which they were
    /// given. Never returns if the server fails to listen.
    pub async fn addrs(&self) -> Vec<SocketAddr> {
        self.bound().await.public
    }

    /// Waits until the server listens, and returns the address of its [`Admin`](crate::Admin); `None` without one, or
    /// if it listens on a Unix socket. Never returns if the server fails to listen.
    pub async fn admin_addr(&self) -> Option<SocketAddr> {
        self.bound().await.admin
    }

    async fn bound(&self) -> Addrs {
        let mut addrs = self.0.addrs.subscribe();
        loop {
            if let Some(addrs) = &*addrs.borrow_and_update() {
                return addrs.clone();
            }
            // The sender lives in `self`.
            let _ = addrs.changed().await;
        }
    }

    /// Updates those of the process's metrics that are not counted as they happen. An [`Admin`](crate::Admin) does so
    /// whenever it shows them; call this before you send them somewhere else.
    ///
    /// Requires the feature `metrics`.
    #[cfg(feature = "metrics")]
    pub fn observe(&self) {
        self.0.observe();
    }

    /// Starts a graceful stop and returns at once; see [`Server`](super::Server#stopping).
    pub fn drain(&self) {
        self.0.set(Phase::Leaving);
    }

    /// Stops at once: cancels requests in flight and answers them `interrupted`. Does not wait for that.
    pub fn stop(&self) {
        self.0.set(Phase::Stopped);
    }
}

/// Drains on the first signal and stops on the second.
pub(super) fn on_signals(control: Arc<Control>) -> io::Result<()> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    tokio::spawn(async move {
        for phase in [Phase::Leaving, Phase::Stopped] {
            #[cfg(unix)]
            let signal = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            #[cfg(not(unix))]
            let signal = async {
                let _ = tokio::signal::ctrl_c().await;
            };
            tokio::select! {
                () = signal => control.set(phase),
                () = control.wait_for(Phase::Stopped) => return,
            }
        }
    });
    Ok(())
}

/// Waits until the server is told to stop, and then for the delay, so that load balancers notice.
pub(super) async fn leave(control: &Control, runtime: &Runtime, delay: Duration) {
    control.wait_for(Phase::Leaving).await;
    if !delay.is_zero() {
        runtime.start_leaving();
        tracing::info!(?delay, "leaving");
        tokio::select! {
            () = sleep(delay) => {}
            () = control.wait_for(Phase::Stopped) => {}
        }
    }
    control.set(Phase::Draining);
}

/// How long cut connections may take to run their hooks.
const CUT: Duration = Duration::from_secs(1);

/// Closes every connection and waits for them and for the HTTP requests that were there before. At the deadline, which
/// it returns, it cuts the remaining connections.
pub(super) async fn drain(
    control: &Control,
    runtime: &Runtime,
    requests: &TaskTracker,
    limit: Duration,
    spread: Duration,
) -> Instant {
    let start = Instant::now();
    let deadline = start + limit;
    runtime.start_draining();
    runtime.tasks().close();
    requests.close();
    let connections = runtime.live().connections();
    tracing::info!(connections = connections.len(), "draining");
    // The connection that is closed last also needs time for its requests.
    let spread = spread.min(limit / 2);
    let graceful = async {
        let count = connections.len().max(1) as u32;
        for (position, connection) in connections.iter().enumerate() {
            sleep_until(start + spread / count * position as u32).await;
            connection.close(restart());
        }
        // One of these requests may be a handshake.
        requests.wait().await;
        runtime.tasks().wait().await;
    };
    let drained = tokio::select! {
        drained = timeout_at(deadline, graceful) => drained.is_ok(),
        () = control.wait_for(Phase::Stopped) => false,
    };
    if drained {
        tracing::info!(elapsed = ?start.elapsed(), "drained");
        return deadline;
    }
    let survivors = runtime.live().connections();
    metrics::cut(survivors.len());
    tracing::warn!(connections = survivors.len(), "connections are cut");
    for connection in survivors {
        connection
            .outbox()
            .stop(Close::new(CloseCode::SERVICE_RESTART, "server is stopping"));
    }
    let _ = tokio::time::timeout(CUT, runtime.tasks().wait()).await;
    deadline
}
