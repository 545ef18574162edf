//! What an engine keeps for kept groups.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{BoxError, Error, Position};

/// The messages that an engine keeps of all kept groups of a cluster, in one order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Feed {
    /// Distinguishes the feeds on a server: ASCII letters, digits, `-`, `_`, `%` and dots.
    pub name: Arc<str>,
    /// How long this gateway needs messages. An engine may keep them for longer.
    pub age: Duration,
}

impl Feed {
    pub(super) fn new(name: Arc<str>, age: Duration) -> Self {
        Self { name, age }
    }
}

/// A message to be kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// The group, in ASCII letters, digits, `-`, `_`, `%` and dots. Empty for a message that is for nobody.
    pub group: Arc<str>,
    /// The message; empty for one that is for nobody.
    pub message: Bytes,
    /// A key: a message of the same group with the same key, stored within the last 5 minutes or longer, is not stored
    /// again. Any text of up to 256 bytes.
    pub once: Option<Arc<str>>,
}

impl Record {
    pub(super) fn new(group: Arc<str>, message: Bytes, once: Option<Arc<str>>) -> Self {
        Self {
            group,
            message,
            once,
        }
    }

    /// A message that is for nobody, so that a feed is never empty.
    pub(super) fn first() -> Self {
        Self::new(Arc::from(""), Bytes::new(), None)
    }
}

/// A message of a feed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its position, which is higher than those of all entries before it.
    pub position: Position,
    /// The group of its [`Record`].
    pub group: Arc<str>,
    /// The message of its [`Record`].
    pub message: Bytes,
    /// How long ago it was stored.
    pub age: Duration,
}

/// What an engine returns of a feed.
#[derive(Debug)]
pub enum Page {
    /// Entries in their order, without any missing between them, or between the position that was asked for and the
    /// first; none if nothing has come for a while.
    Entries(Vec<Entry>),
    /// The same, but the engine has lost entries right before the first of these.
    AfterGap(Vec<Entry>),
    /// The entry at the position that was asked for is not there. The cluster reads everything again, from the oldest entry.
    Gap,
}

/// How long an engine knows a key.
pub(super) const KEYS: Duration = Duration::from_secs(300);
/// How many entries are read at once.
pub(super) const PAGE: usize = 128;

/// What sessions return whose engine keeps nothing.
pub(super) fn keeps_nothing() -> BoxError {
    "the engine of the cluster keeps no messages".into()
}

/// The same, to a publisher.
pub(super) fn cannot_store() -> Error {
    Error::internal(keeps_nothing())
}
