//! An engine that fails as often as nobody may notice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use wasabi::{
    BoxError, Bytes, Position, Result, Stored,
    cluster::{Engine, EngineSession, Feed, Inlet, Memory, MemoryNode, Page, Record},
};

use super::super::*;

/// An engine within the process that takes its time: connections, subscriptions and reads fail again and again, some after
/// they have had an effect, and it returns less than it has.
#[derive(Clone, Default)]
pub(crate) struct Unsteady {
    memory: Memory,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connects: AtomicUsize,
    calls: AtomicUsize,
    subscribes: AtomicUsize,
    unsubscribes: AtomicUsize,
    newest: AtomicUsize,
    reads: AtomicUsize,
}

/// Fails at the first call, and then at every nth.
fn fails(count: &AtomicUsize, nth: usize) -> Result<(), BoxError> {
    match count.fetch_add(1, Ordering::Relaxed) % nth {
        0 => Err("on purpose".into()),
        _ => Ok(()),
    }
}

impl Counts {
    async fn take_time(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(call as u64 % 3)).await;
    }
}

impl Engine for Unsteady {
    type Session = UnsteadyNode;

    async fn connect(&self, inlet: Inlet) -> Result<UnsteadyNode, BoxError> {
        self.counts.take_time().await;
        fails(&self.counts.connects, 2)?;
        Ok(UnsteadyNode {
            memory: self.memory.connect(inlet).await?,
            counts: Arc::clone(&self.counts),
        })
    }

    fn keeps(&self) -> bool {
        true
    }
}

pub(crate) struct UnsteadyNode {
    memory: MemoryNode,
    counts: Arc<Counts>,
}

impl EngineSession for UnsteadyNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        self.counts.take_time().await;
        self.memory.tell(subject, message).await
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.counts.take_time().await;
        // Whoever asks a node waits for a second, and so does the next attempt.
        let is_of_nodes = |subject: &Arc<str>| subject.contains(".node");
        if subjects.iter().any(is_of_nodes) {
            return self.memory.subscribe(subjects).await;
        }
        if let Err(error) = fails(&self.counts.subscribes, 3) {
            // One of them is there all the same.
            self.memory.subscribe(&subjects[..1]).await?;
            return Err(error);
        }
        self.memory.subscribe(subjects).await
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.counts.take_time().await;
        self.memory.unsubscribe(subjects).await?;
        fails(&self.counts.unsubscribes, 3)
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        self.counts.take_time().await;
        self.memory.store(feed, record).await
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        fails(&self.counts.newest, 2)?;
        self.memory.newest(feed).await
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        fails(&self.counts.reads, 200)?;
        self.counts.take_time().await;
        let page = self.memory.read(feed, after).await?;
        Ok(match page {
            Page::Entries(mut entries) => {
                entries.truncate(entries.len().div_ceil(2));
                Page::Entries(entries)
            }
            page => page,
        })
    }

    async fn answers(&self) -> Result<(), BoxError> {
        self.counts.take_time().await;
        self.memory.answers().await
    }

    async fn closed(&self) -> BoxError {
        self.memory.closed().await
    }
}
