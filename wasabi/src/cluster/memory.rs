//! An engine within the process.

mod feed;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use self::feed::MemoryFeed;
use super::{
    engine::{Engine, EngineSession},
    feed::{Feed, Page, Record},
    inlet::Inlet,
};
use crate::{
    BoxError, Position, Result, Stored,
    sharded::Sharded,
    sync::{Mutex, Unpoisoned},
};

/// An engine within the process: it joins the gateways that clones of one [`Cluster`](super::Cluster) are passed to.
#[derive(Clone, Default)]
pub struct Memory(Arc<Hub>);

#[derive(Default)]
struct Hub {
    subscribed: Sharded<Arc<str>, HashMap<u64, Inlet>>,
    sessions: AtomicU64,
    feeds: Mutex<HashMap<Arc<str>, Arc<MemoryFeed>>>,
}

impl Memory {
    /// An engine that nothing is connected to.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Engine for Memory {
    type Session = MemoryNode;

    async fn connect(&self, inlet: Inlet) -> Result<MemoryNode, BoxError> {
        Ok(MemoryNode {
            hub: Arc::clone(&self.0),
            id: self.0.sessions.fetch_add(1, Ordering::Relaxed),
            inlet,
            subjects: Mutex::default(),
        })
    }

    fn keeps(&self) -> bool {
        true
    }
}

/// A gateway's connection to [`Memory`].
pub struct MemoryNode {
    hub: Arc<Hub>,
    id: u64,
    inlet: Inlet,
    subjects: Mutex<HashSet<Arc<str>>>,
}

impl MemoryNode {
    fn feed(&self, feed: &Feed) -> Arc<MemoryFeed> {
        let mut feeds = self.hub.feeds.lock().unpoisoned();
        let kept = feeds.entry(Arc::clone(&feed.name)).or_default();
        Arc::clone(kept)
    }

    fn leave(&self, subject: &Arc<str>) {
        let mut shard = self.hub.subscribed.shard(subject);
        if let Some(sessions) = shard.get_mut(subject) {
            sessions.remove(&self.id);
            if sessions.is_empty() {
                shard.remove(subject);
            }
        }
    }
}

impl EngineSession for MemoryNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        // Locked throughout: two messages of one publisher keep their order.
        let shard = self.hub.subscribed.shard(subject);
        for inlet in shard.get(subject).into_iter().flat_map(HashMap::values) {
            inlet.receive(subject, message.clone());
        }
        Ok(())
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        for subject in subjects {
            let subject = Arc::clone(subject);
            self.subjects
                .lock()
                .unpoisoned()
                .insert(Arc::clone(&subject));
            let mut shard = self.hub.subscribed.shard(&subject);
            let sessions = shard.entry(subject).or_default();
            sessions.insert(self.id, self.inlet.clone());
        }
        Ok(())
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        for subject in subjects {
            self.subjects.lock().unpoisoned().remove(subject);
            self.leave(subject);
        }
        Ok(())
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        Ok(self.feed(feed).store(record, feed.age))
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        Ok(self.feed(feed).newest())
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        let feed = self.feed(feed);
        Ok(feed.read(after).await)
    }

    async fn answers(&self) -> Result<(), BoxError> {
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        pending().await
    }
}

impl Drop for MemoryNode {
    fn drop(&mut self) {
        let subjects = std::mem::take(&mut *self.subjects.lock().unpoisoned());
        for subject in &subjects {
            self.leave(subject);
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory(..)")
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
