//! The handle by which others watch and stop a server.

use std::{net::SocketAddr, sync::Arc};

use super::control::{Control, ServerPhase};

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
        self.0.addrs().await.public
    }

    /// Waits until the server listens, and returns the address of its [`Admin`](crate::Admin); `None` without one, or
    /// if it listens on a Unix socket. Never returns if the server fails to listen.
    pub async fn admin_addr(&self) -> Option<SocketAddr> {
        self.0.addrs().await.admin
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
        self.0.set(ServerPhase::Leaving);
    }

    /// Stops at once: cancels requests in flight and answers them `interrupted`. Does not wait for that.
    pub fn stop(&self) {
        self.0.set(ServerPhase::Stopped);
    }
}
