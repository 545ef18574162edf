//! An engine that fails as the tests say.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use wasabi::{
    BoxError, Bytes, Position, Result, Stored,
    cluster::{Engine, EngineSession, Feed, Inlet, Memory, MemoryNode, Page, Record},
};

/// An engine that is away, or whose clients can be cut off.
#[derive(Clone)]
pub(super) struct Unreliable {
    memory: Memory,
    is_away: bool,
    is_cut: Arc<AtomicBool>,
}

impl Unreliable {
    pub(super) fn away() -> Self {
        Self {
            memory: Memory::new(),
            is_away: true,
            is_cut: Arc::default(),
        }
    }

    /// One that is there until it is cut off.
    pub(super) fn connected(memory: &Memory) -> (Self, Arc<AtomicBool>) {
        let is_cut = Arc::new(AtomicBool::new(false));
        let engine = Self {
            memory: memory.clone(),
            is_away: false,
            is_cut: Arc::clone(&is_cut),
        };
        (engine, is_cut)
    }
}

/// Cut off, it passes on nothing, and what it stores is not acknowledged.
pub(super) struct Session(MemoryNode, Arc<AtomicBool>);

impl Engine for Unreliable {
    type Session = Session;

    async fn connect(&self, inlet: Inlet) -> Result<Session, BoxError> {
        match self.is_away {
            true => Err("away".into()),
            false => Ok(Session(
                self.memory.connect(inlet).await?,
                Arc::clone(&self.is_cut),
            )),
        }
    }

    fn keeps(&self) -> bool {
        true
    }
}

impl Session {
    fn stored(&self, stored: Stored) -> Result<Stored> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(wasabi::Error::UpstreamLost("cut".into())),
            false => Ok(stored),
        }
    }
}

impl EngineSession for Session {
    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        self.stored(self.0.store(feed, record).await?)
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        self.0.newest(feed).await
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        self.0.read(feed, after).await
    }

    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        match self.1.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.0.tell(subject, message).await,
        }
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.0.subscribe(subjects).await
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        self.0.unsubscribe(subjects).await
    }

    async fn answers(&self) -> Result<(), BoxError> {
        self.0.answers().await
    }

    async fn closed(&self) -> BoxError {
        self.0.closed().await
    }
}
