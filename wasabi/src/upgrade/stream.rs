//! The stream that an accepted handshake leaves to its connection.

use std::sync::Arc;

use http::Extensions;
use hyper::upgrade::OnUpgrade;
use tokio::{sync::oneshot, time::timeout};

use super::UPGRADE_TIMEOUT;
use crate::{
    BoxError,
    connection::transport::Transport,
    runtime::Runtime,
    sync::{Mutex, Unpoisoned},
};

/// A stream, and the bytes that were read from it already.
pub(crate) type Stream = (Transport, Vec<u8>);

/// A stream that comes once its handshake was answered.
pub(crate) enum Coming {
    /// From hyper, which has read the handshake.
    Hyper(OnUpgrade),
    /// From a server that has read the handshake itself.
    Direct(oneshot::Receiver<Stream>),
}

/// Part of the extensions of a handshake that a server has read itself.
#[derive(Clone)]
struct Promise(Arc<Mutex<Option<oneshot::Receiver<Stream>>>>);

/// Promises the stream of a handshake to whoever accepts it.
pub(crate) fn promise(extensions: &mut Extensions) -> oneshot::Sender<Stream> {
    let (sender, promised) = oneshot::channel();
    extensions.insert(Promise(Arc::new(Mutex::new(Some(promised)))));
    sender
}

impl Coming {
    /// What was promised with a handshake; `None` if its connection cannot be upgraded.
    pub(crate) fn of(extensions: &mut Extensions) -> Option<Self> {
        if let Some(Promise(promised)) = extensions.remove() {
            return promised.lock().unpoisoned().take().map(Self::Direct);
        }
        extensions.remove().map(Self::Hyper)
    }

    /// Waits for the stream. Fails if the handshake could not be answered, or if it takes too long.
    pub(crate) async fn arrive(&mut self, runtime: &Runtime) -> Result<Stream, BoxError> {
        let arriving = async {
            match self {
                Self::Hyper(upgrade) => Ok(runtime.transport(upgrade.await?)),
                Self::Direct(stream) => stream.await.map_err(|_| "no answer was sent".into()),
            }
        };
        timeout(UPGRADE_TIMEOUT, arriving).await?
    }
}
