//! Budgets for replies that wait for a client outside of its send queue, or are being read for it: per connection and
//! per server.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::Notify;

use super::Connection;
use crate::{
    Error,
    sync::{AtomicUsize, Mutex, MutexGuard, Unpoisoned},
};

/// The memory that replies to all clients of a server may use together.
#[derive(Clone, Default)]
pub(crate) struct Budget(Arc<Spent>);

#[derive(Default)]
struct Spent {
    /// Bytes of replies that wait for clients or are being read for them.
    held: AtomicUsize,
    /// The limit on those.
    max_held: Option<usize>,
}

impl Budget {
    pub(crate) fn new(max_held: Option<usize>) -> Self {
        Self(Arc::new(Spent {
            held: AtomicUsize::new(0),
            max_held,
        }))
    }

    /// Updates the account of something that had `before` bytes and has `bytes` now.
    fn hold(&self, bytes: usize, before: usize) {
        if bytes > before {
            self.0.held.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.0.held.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    fn holds_too_much(&self) -> bool {
        let max = self.0.max_held;
        max.is_some_and(|max| self.0.held.load(Ordering::Relaxed) >= max)
    }
}

/// The replies of one connection.
pub(crate) struct Held {
    /// The channel's `max_waiting_bytes`.
    limit: usize,
    /// Bytes of replies that the client could have taken but has not.
    waiting: AtomicUsize,
    /// `None` while nothing is read for the client.
    state: Mutex<Option<Box<HeldState>>>,
    budget: Budget,
}

#[derive(Default)]
struct HeldState {
    /// Bytes of partial replies that are being read from upstreams.
    reading: usize,
    /// Set if one of these replies may be read to its end: otherwise all might wait for each other.
    has_turn: bool,
    /// Wakes readers that wait for room.
    room: Arc<Notify>,
}

impl HeldState {
    fn is_unused(&self) -> bool {
        self.reading == 0 && !self.has_turn && Arc::strong_count(&self.room) == 1
    }
}

/// Bytes that a reply may have before it counts, so that small replies are read without a check.
const FREE: usize = 16 * 1024;

impl Held {
    pub(crate) fn new(limit: usize, budget: Budget) -> Self {
        Self {
            limit,
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            budget,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<HeldState>>> {
        // No code panics while it holds the lock.
        self.state.lock().unpoisoned()
    }

    /// Sets the number of bytes that wait for the client.
    pub(crate) fn set_waiting(&self, bytes: usize) {
        let before = self.waiting.swap(bytes, Ordering::AcqRel);
        self.budget.hold(bytes, before);
        if bytes < before {
            self.notify();
        }
    }

    /// Whether upstreams must wait for the client.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= self.limit
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Frees the memory that past waiters have left.
    pub(crate) fn give_back(&self) {
        self.lock().take_if(|state| state.is_unused());
    }

    /// What is notified when there may be room.
    fn waiters(&self) -> Arc<Notify> {
        Arc::clone(&self.lock().get_or_insert_default().room)
    }

    /// Wakes those who wait for room.
    fn notify(&self) {
        let room = self.lock().as_ref().map(|state| Arc::clone(&state.room));
        if let Some(room) = room {
            room.notify_waiters();
        }
    }

    /// Waits until upstreams need not wait for the client.
    pub(crate) async fn room(&self) {
        let waiters = self.waiters();
        loop {
            let room = waiters.notified();
            tokio::pin!(room);
            // Register before checking, or a change in between would be missed.
            room.as_mut().enable();
            if !self.is_full() {
                return;
            }
            room.await;
        }
    }
}

/// A reply that is being read from an upstream for a client.
pub(crate) struct Reading {
    connection: Connection,
    bytes: usize,
    has_turn: bool,
    waits: bool,
}

enum May {
    GoOn,
    Wait,
    Never,
}

impl Reading {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            bytes: 0,
            has_turn: false,
            waits: false,
        }
    }

    /// Whether the reader waits for the client.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Notes that this many bytes of the reply have been read. Waits until more may be read, because the client takes
    /// what waits for it, or because other replies to it are finished. Fails with `overloaded` if the server's budget
    /// is used up and the client takes nothing.
    pub(crate) async fn has(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes <= FREE {
            return Ok(());
        }
        let connection = self.connection.clone();
        let held = connection.held();
        held.lock().get_or_insert_default().reading += bytes - self.bytes;
        held.budget.hold(bytes, self.bytes);
        self.bytes = bytes;
        let waiters = held.waiters();
        loop {
            let room = waiters.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.may(held) {
                May::GoOn => {
                    self.waits = false;
                    return Ok(());
                }
                May::Never => return Err(Error::Overloaded),
                May::Wait => self.waits = true,
            }
            room.await;
        }
    }

    fn may(&mut self, held: &Held) -> May {
        let is_over = held.budget.holds_too_much();
        let waiting = held.waiting.load(Ordering::Acquire);
        let mut state = held.lock();
        let state = state.get_or_insert_default();
        if waiting > 0 && is_over {
            May::Never
        } else if waiting >= held.limit {
            May::Wait
        } else if self.has_turn || state.reading < held.limit && !is_over {
            May::GoOn
        } else if state.has_turn {
            May::Wait
        } else {
            state.has_turn = true;
            self.has_turn = true;
            May::GoOn
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let held = self.connection.held();
        if let Some(state) = held.lock().as_mut() {
            state.reading -= self.bytes;
            state.has_turn &= !self.has_turn;
        }
        held.budget.hold(0, self.bytes);
        held.notify();
    }
}
