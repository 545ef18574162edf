//! Where messages of other nodes come in: bounded, and delivered by a task of the node.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    envelope::{self, Received, Sealed},
    nodes::{Dropped, Nodes},
    table::{Table, Target},
};
use crate::{
    connection::registry::Turn,
    log::limited,
    sync::{Mutex, Unpoisoned},
};

/// The messages that may wait.
const MAX_MESSAGES: usize = 16_384;
/// The bytes that may wait, unless a single message is larger.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Takes what a session of an [`Engine`](super::Engine) receives. Clones are handles to the same one.
#[derive(Clone)]
pub struct Inlet(Arc<InletState>);

struct InletState {
    nodes: Arc<Nodes>,
    table: Arc<Table>,
    waiting: Mutex<Waiting>,
    came: Notify,
    received: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Arc<Target>, Sealed)>,
    bytes: usize,
}

impl Inlet {
    pub(super) fn new(nodes: Arc<Nodes>, table: Arc<Table>) -> Self {
        Self(Arc::new(InletState {
            nodes,
            table,
            waiting: Mutex::default(),
            came: Notify::new(),
            received: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }))
    }

    /// Takes a message that somebody has published to a subject. Never waits: a message that finds no room is dropped
    /// and counted. The messages of one publisher must be handed in in their order.
    pub fn receive(&self, subject: &str, message: Bytes) {
        let sealed = match envelope::receive(message, self.0.nodes.id()) {
            Received::Parcel(sealed) => sealed,
            Received::Echo => return,
            Received::Malformed => return self.malformed(),
        };
        if self.0.nodes.takes(subject) {
            return match self.0.nodes.receive(sealed) {
                Ok(()) => {}
                Err(Dropped::Malformed) => self.malformed(),
                Err(Dropped::NoRoom) => self.lost(1),
            };
        }
        // Nobody is here any more: the engine does not know it yet.
        let Some(target) = self.0.table.target(subject) else {
            return;
        };
        self.0.received.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.0.waiting.lock().unpoisoned();
        let bytes = waiting.bytes.saturating_add(sealed.len());
        let is_first = waiting.messages.is_empty();
        if !is_first && (waiting.messages.len() >= MAX_MESSAGES || bytes > MAX_BYTES) {
            drop(waiting);
            return self.lost(1);
        }
        waiting.bytes = bytes;
        waiting.messages.push_back((target, sealed));
        drop(waiting);
        if is_first {
            self.0.came.notify_one();
        }
    }

    /// Counts messages that were lost on their way to [`receive`](Self::receive), because a client library had no room
    /// for them.
    pub fn lost(&self, messages: u64) {
        self.0.dropped.fetch_add(messages, Ordering::Relaxed);
        limited!(
            WARN,
            "messages of other gateways dropped: this process cannot keep up"
        );
    }

    /// What all subjects of the cluster begin with: the name of its feed.
    #[cfg(feature = "redis")]
    pub(super) fn cluster(&self) -> &str {
        &self.0.nodes.cluster
    }

    fn malformed(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        limited!(
            WARN,
            "a message on a subject of the cluster dropped: it is not from a gateway, or from a newer version"
        );
    }

    /// How many messages have come in.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// How many messages were dropped.
    #[cfg(any(test, feature = "metrics"))]
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<(Arc<Target>, Sealed)> {
        let mut waiting = self.0.waiting.lock().unpoisoned();
        let taken = waiting.messages.pop_front();
        if let Some((_, sealed)) = &taken {
            waiting.bytes -= sealed.len();
        }
        if waiting.messages.is_empty() && waiting.messages.capacity() > 1024 {
            // Frees the memory of a burst.
            waiting.messages = VecDeque::new();
        }
        taken
    }

    /// Delivers what comes in, for ever.
    pub(super) async fn deliver(self) {
        let mut turn = Turn::default();
        loop {
            let Some((target, sealed)) = self.take() else {
                self.0.came.notified().await;
                continue;
            };
            let bytes = sealed.len();
            let members = match sealed.open() {
                Some(parcel) => target.deliver(parcel),
                None => {
                    self.malformed();
                    0
                }
            };
            turn.delivered(bytes, members).await;
        }
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet").finish_non_exhaustive()
    }
}
