//! What HTTP/1.1 and HTTP/2 have in common on the sockets of a server.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    answers::{Answers, Peer},
    control::{Control, ServerPhase},
};
use crate::{gateway::ChannelPaths, runtime::Runtime};

/// How long an HTTP request may still take once the server no longer waits for it.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(1);

/// The maximum size of a request head in bytes; a larger one is answered 431. A connection keeps its head in memory.
/// With HTTP/1.1 hyper also limits a head to 100 lines, because it needs memory for that many lines with each request.
/// With HTTP/2 each field counts 32 bytes more than its own (RFC 9113, section 10.5.1).
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// How the sockets of a listener are served.
#[derive(Clone)]
pub(super) struct HttpService {
    pub(super) router: Router,
    /// Where handshakes are answered without hyper; `None` if nowhere.
    pub(super) channels: Option<Arc<ChannelPaths>>,
    pub(super) runtime: Runtime,
    /// The requests that a drain waits for; `None` if it waits for none.
    pub(super) requests: Option<TaskTracker>,
    /// The places for sockets. A WebSocket on an HTTP/2 stream takes one as well.
    pub(super) places: Arc<Semaphore>,
    pub(super) header_timeout: Duration,
    pub(super) keep_alive_timeout: Duration,
    pub(super) request_timeout: Duration,
    /// How long the server waits for a client that reads answers too slowly.
    pub(super) patience: Duration,
    pub(super) control: Arc<Control>,
    /// The maximum number of HTTP/2 streams on one socket; `None` without HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) streams: Option<u32>,
}

/// Bytes already read while detecting which protocol a client speaks.
pub(super) struct Ahead {
    pub(super) bytes: Vec<u8>,
    /// When the first head must be there: the time spent on detection counts.
    pub(super) head_by: Instant,
}

impl HttpService {
    pub(super) fn answers(&self, peer: Peer) -> Answers {
        Answers {
            router: self.router.clone(),
            runtime: self.runtime.clone(),
            requests: self.requests.clone(),
            timeout: self.request_timeout,
            peer,
        }
    }

    /// Whether a client may choose HTTP/2.
    #[cfg(feature = "tls")]
    pub(super) fn speaks_http2(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.streams.is_some();
        #[cfg(not(feature = "http2"))]
        false
    }

    /// Waits until the server gives up a request that is being answered: after a last second, when it no longer waits for
    /// requests.
    pub(super) async fn cut(&self) {
        let phase = match self.requests {
            Some(_) => ServerPhase::Stopped,
            None => ServerPhase::Closing,
        };
        self.control.wait_for(phase).await;
        sleep(LAST_ANSWER).await;
    }
}
