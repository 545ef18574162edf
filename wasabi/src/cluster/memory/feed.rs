//! Messages that are kept within the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use crate::{
    Position, Stored,
    cluster::feed::{Entry, KEYS, PAGE, Page, Record},
    sync::{Mutex, Unpoisoned},
};

/// The bytes of all entries.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// What an entry counts for beside its message.
const OVERHEAD: usize = 128;
/// The keys that are known. The oldest are forgotten for newer ones.
const MAX_KEYS: usize = 100_000;

/// The feed of a cluster within the process.
pub(super) struct MemoryFeed {
    kept: Mutex<Entries>,
    came: Notify,
}

struct Entries {
    /// Of this feed, and of no other before or after it.
    major: u64,
    /// Of the next entry.
    minor: u64,
    entries: VecDeque<Held>,
    bytes: usize,
    keys: HashMap<Key, Position>,
    /// The keys, oldest first.
    keyed: VecDeque<(Instant, Key)>,
}

/// A group, and the key of a message in it.
type Key = (Arc<str>, Arc<str>);

struct Held {
    position: Position,
    group: Arc<str>,
    message: Bytes,
    at: Instant,
}

impl Held {
    fn bytes(&self) -> usize {
        OVERHEAD + self.message.len()
    }
}

impl Default for MemoryFeed {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        Self {
            kept: Mutex::new(Entries {
                major: u64::try_from(nanos).unwrap_or(u64::MAX),
                minor: 0,
                entries: VecDeque::new(),
                bytes: 0,
                keys: HashMap::new(),
                keyed: VecDeque::new(),
            }),
            came: Notify::new(),
        }
    }
}

impl MemoryFeed {
    pub(super) fn store(&self, record: Record, age: Duration) -> Stored {
        let mut guard = self.kept.lock().unpoisoned();
        let kept = &mut *guard;
        kept.trim(age);
        let key = record.once.map(|once| (Arc::clone(&record.group), once));
        if let Some(before) = key.as_ref().and_then(|key| kept.keys.get(key)) {
            return Stored::new(*before, true);
        }
        let position = kept.push(record.group, record.message);
        if let Some(key) = key {
            kept.keys.insert(key.clone(), position);
            kept.keyed.push_back((Instant::now(), key));
        }
        drop(guard);
        self.came.notify_waiters();
        Stored::new(position, false)
    }

    /// The position of the newest entry; there is one from now on.
    pub(super) fn newest(&self) -> Position {
        let mut kept = self.kept.lock().unpoisoned();
        match kept.newest() {
            Some(newest) => newest,
            None => {
                let first = Record::first();
                kept.push(first.group, first.message)
            }
        }
    }

    pub(super) async fn read(&self, after: Option<Position>) -> Page {
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            // Register before looking, or an entry in between would be missed.
            came.as_mut().enable();
            match self.kept.lock().unpoisoned().after(after) {
                Page::Entries(entries) if entries.is_empty() => {}
                page => return page,
            }
            came.await;
        }
    }
}

impl Entries {
    fn newest(&self) -> Option<Position> {
        let before = self.minor.checked_sub(1)?;
        Some(Position::new(self.major, before))
    }

    fn push(&mut self, group: Arc<str>, message: Bytes) -> Position {
        let position = Position::new(self.major, self.minor);
        self.minor += 1;
        let held = Held {
            position,
            group,
            message,
            at: Instant::now(),
        };
        self.bytes += held.bytes();
        self.entries.push_back(held);
        position
    }

    fn trim(&mut self, age: Duration) {
        let now = Instant::now();
        while let Some(oldest) = self.entries.front()
            && (self.bytes > MAX_BYTES || now.duration_since(oldest.at) > age)
        {
            self.bytes -= oldest.bytes();
            self.entries.pop_front();
        }
        while let Some((at, key)) = self.keyed.front()
            && (self.keyed.len() >= MAX_KEYS || now.duration_since(*at) > KEYS)
        {
            self.keys.remove(key);
            self.keyed.pop_front();
        }
    }

    fn after(&self, after: Option<Position>) -> Page {
        let from = match after {
            None => 0,
            Some(position) => {
                match self
                    .entries
                    .binary_search_by_key(&position, |held| held.position)
                {
                    Ok(at) => at + 1,
                    // All that came before it has been trimmed as well.
                    Err(_) if self.newest() == Some(position) => self.entries.len(),
                    // The entry before the first is trimmed, and nothing is missing.
                    Err(0) if self.precedes(position) => 0,
                    Err(_) => return Page::Gap,
                }
            }
        };
        let now = Instant::now();
        let entries = self.entries.range(from..).take(PAGE).map(|held| Entry {
            position: held.position,
            group: Arc::clone(&held.group),
            message: held.message.clone(),
            age: now.duration_since(held.at),
        });
        Page::Entries(entries.collect())
    }

    /// Whether the first entry is the one after this position.
    fn precedes(&self, position: Position) -> bool {
        let (major, minor) = position.parts();
        let first = self.entries.front().map(|held| held.position.parts());
        first.is_some_and(|first| (major, minor.saturating_add(1)) == first)
    }
}
