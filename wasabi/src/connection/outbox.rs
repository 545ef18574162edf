//! The queue of outgoing messages of one connection. Any task may add to it.

mod errors;
#[cfg(test)]
mod tests;

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Duration,
};

use tokio::sync::Notify;

pub use self::errors::{SendError, TrySendError};
use super::few::Few;
use crate::{
    Close, Message,
    sync::{AtomicBool, AtomicU64, AtomicWaker, Mutex, MutexGuard, Unpoisoned},
    time::Moment,
};

/// A bounded queue of messages; the connection's task empties it.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Set if the queue may hold something new for the connection's task. The task checks this flag for every message,
    /// and locks the queue only if it is set.
    fresh: AtomicBool,
    /// Set once `on_connect` has admitted the client.
    admitted: AtomicBool,
    max_messages: usize,
    max_bytes: usize,
    /// The connection's task.
    owner: AtomicWaker,
    /// Milliseconds from `opened` to the expiry of the client's credentials.
    expires: AtomicU64,
    opened: Moment,
}

/// They do not expire.
const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct Queue {
    messages: Few<Message>,
    /// Includes messages that the connection's task has taken but not written yet.
    count: usize,
    bytes: usize,
    /// Requested by the server; the first request counts.
    close: Option<Box<Close>>,
    stop: bool,
    shut: bool,
    /// Something asks to cancel requests of the connection.
    cancel: bool,
    /// How the connection has ended.
    ended: Option<Box<Close>>,
    /// The requests that outlive the connection have ended too.
    finished: bool,
    /// Made for the first that waits.
    waiters: Option<Arc<Waiters>>,
}

impl Queue {
    fn ended(&self) -> Option<&Close> {
        self.ended.as_deref()
    }

    fn finished(&self) -> Option<&Close> {
        self.ended().filter(|_| self.finished)
    }
}

#[derive(Default)]
struct Waiters {
    /// Wakes senders that wait for room.
    room: Notify,
    end: Notify,
}

impl Outbox {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            fresh: AtomicBool::new(false),
            admitted: AtomicBool::new(false),
            max_messages,
            max_bytes,
            owner: AtomicWaker::new(),
            expires: AtomicU64::new(NEVER),
            opened: Moment::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock, and the queue is consistent between any two operations.
        self.queue.lock().unpoisoned()
    }

    pub(crate) fn try_send(&self, message: Message) -> Result<(), TrySendError> {
        let mut queue = self.lock();
        if queue.shut || queue.close.is_some() {
            return Err(TrySendError::Closed(message));
        }
        let bytes = queue.bytes.saturating_add(message.len());
        if queue.count > 0 && (queue.count >= self.max_messages || bytes > self.max_bytes) {
            return Err(TrySendError::Full(message));
        }
        queue.count += 1;
        queue.bytes = bytes;
        let first = queue.messages.is_empty();
        queue.messages.made().push_back(message);
        self.fresh.store(true, Ordering::Release);
        drop(queue);
        if first {
            self.owner.wake();
        }
        Ok(())
    }

    pub(crate) async fn send(&self, message: Message) -> Result<(), SendError> {
        let Some(mut message) = self.send_unless_full(message)? else {
            return Ok(());
        };
        let waiters = self.waiters();
        loop {
            let room = waiters.room.notified();
            tokio::pin!(room);
            // Register before checking, or a release in between would be missed.
            room.as_mut().enable();
            match self.send_unless_full(message)? {
                None => return Ok(()),
                Some(unsent) => message = unsent,
            }
            room.await;
        }
    }

    /// Gives the message back if the queue is full.
    fn send_unless_full(&self, message: Message) -> Result<Option<Message>, SendError> {
        match self.try_send(message) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(message)) => Ok(Some(message)),
            Err(TrySendError::Closed(message)) => Err(SendError::Closed(message)),
            Err(TrySendError::Unwritable(error)) => Err(error.into()),
        }
    }

    fn waiters(&self) -> Arc<Waiters> {
        Arc::clone(self.lock().waiters.get_or_insert_default())
    }

    pub(crate) fn close(&self, close: Close) {
        let mut queue = self.lock();
        queue.close.get_or_insert_with(|| Box::new(close));
        self.fresh.store(true, Ordering::Release);
        let waiters = queue.waiters.clone();
        drop(queue);
        self.owner.wake();
        notify(waiters, |waiters| &waiters.room);
    }

    /// Ends the connection at once: the only thing still sent is the close frame, if it fits.
    pub(crate) fn stop(&self, close: Close) {
        let mut queue = self.lock();
        queue.stop = true;
        queue.close.get_or_insert_with(|| Box::new(close));
        self.fresh.store(true, Ordering::Release);
        let waiters = queue.waiters.clone();
        drop(queue);
        self.owner.wake();
        notify(waiters, |waiters| &waiters.room);
    }

    /// Has the connection's task look at the requests that are to be cancelled.
    pub(crate) fn cancel(&self) {
        let mut queue = self.lock();
        queue.cancel = true;
        self.fresh.store(true, Ordering::Release);
        drop(queue);
        self.owner.wake();
    }

    /// The number of waiting messages, and their bytes.
    #[cfg(feature = "metrics")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.count, queue.bytes)
    }

    /// The time since the connection was opened.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn is_closing(&self) -> bool {
        let queue = self.lock();
        queue.shut || queue.close.is_some()
    }

    /// The client's credentials expire after this time; `None` if never.
    pub(crate) fn expire_in(&self, time: Option<Duration>) {
        let millis = time.map_or(NEVER, |time| {
            let millis = (self.opened.elapsed().saturating_add(time)).as_millis();
            u64::try_from(millis).unwrap_or(NEVER)
        });
        self.expires.store(millis, Ordering::Release);
        self.owner.wake();
    }

    pub(crate) async fn closed(&self) -> Close {
        self.once(Queue::ended).await
    }

    /// Waits for the end of the connection and of all its requests.
    pub(crate) async fn finished(&self) -> Close {
        self.once(Queue::finished).await
    }

    /// Waits until `ended` says how the connection has ended.
    async fn once(&self, ended: impl Fn(&Queue) -> Option<&Close>) -> Close {
        let waiters = self.waiters();
        loop {
            let end = waiters.end.notified();
            tokio::pin!(end);
            end.as_mut().enable();
            let close = ended(&self.lock()).cloned();
            if let Some(close) = close {
                return close;
            }
            end.await;
        }
    }

    // For the connection's task only, from here on.

    pub(crate) fn register(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    /// `on_connect` has admitted the client.
    pub(crate) fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    /// When the client's credentials expire.
    pub(crate) fn expires(&self) -> Option<Moment> {
        match self.expires.load(Ordering::Acquire) {
            NEVER => None,
            millis => Some(self.opened + Duration::from_millis(millis)),
        }
    }

    /// Moves all waiting messages into `batch`, which must be empty. Returns what the server has requested, if anything
    /// has changed since the last call.
    pub(crate) fn take(&self, batch: &mut Few<Message>) -> Requested {
        if !self.fresh.load(Ordering::Acquire) {
            return Requested::Nothing;
        }
        let mut queue = self.lock();
        self.fresh.store(false, Ordering::Relaxed);
        mem::swap(&mut queue.messages, batch);
        if queue.stop {
            Requested::Stop
        } else if mem::take(&mut queue.cancel) {
            // A close may have been requested as well: it is told the next time.
            self.fresh.store(queue.close.is_some(), Ordering::Relaxed);
            Requested::Cancel
        } else if queue.close.is_some() {
            Requested::Close
        } else {
            Requested::Nothing
        }
    }

    /// What cannot wait until the client takes messages again.
    pub(crate) fn take_urgent(&self) -> Requested {
        let mut queue = self.lock();
        if queue.stop {
            Requested::Stop
        } else if mem::take(&mut queue.cancel) {
            Requested::Cancel
        } else {
            Requested::Nothing
        }
    }

    /// Frees the memory that past messages and waiters have left.
    pub(crate) fn give_back(&self) {
        let mut queue = self.lock();
        queue.messages.give_back();
        queue
            .waiters
            .take_if(|waiters| Arc::strong_count(waiters) == 1);
    }

    /// Wakes the connection's task, to look at its connection.
    pub(crate) fn wake(&self) {
        self.owner.wake();
    }

    pub(crate) fn wants_stop(&self) -> bool {
        self.lock().stop
    }

    pub(crate) fn requested_close(&self) -> Option<Close> {
        self.lock().close.as_deref().cloned()
    }

    /// Frees the room of messages that have been written.
    pub(crate) fn release(&self, count: usize, bytes: usize) {
        if count == 0 {
            return;
        }
        let mut queue = self.lock();
        queue.count = queue.count.saturating_sub(count);
        queue.bytes = queue.bytes.saturating_sub(bytes);
        let waiters = queue.waiters.clone();
        drop(queue);
        notify(waiters, |waiters| &waiters.room);
    }

    /// Refuses all messages from now on.
    pub(crate) fn shut(&self) {
        let mut queue = self.lock();
        queue.shut = true;
        let messages = mem::take(&mut queue.messages);
        let waiters = queue.waiters.clone();
        drop(queue);
        drop(messages);
        notify(waiters, |waiters| &waiters.room);
    }

    /// The connection has ended.
    pub(crate) fn end(&self, close: Close) {
        self.shut();
        let mut queue = self.lock();
        queue.ended.get_or_insert_with(|| Box::new(close));
        let waiters = queue.waiters.clone();
        drop(queue);
        notify(waiters, |waiters| &waiters.end);
    }

    /// The requests have ended too.
    pub(crate) fn finish(&self) {
        let mut queue = self.lock();
        queue.finished = true;
        let waiters = queue.waiters.clone();
        drop(queue);
        notify(waiters, |waiters| &waiters.end);
    }
}

/// Notifies those who wait, if there are any.
fn notify(waiters: Option<Arc<Waiters>>, of: impl FnOnce(&Waiters) -> &Notify) {
    if let Some(waiters) = waiters {
        of(&waiters).notify_waiters();
    }
}

/// What the server has requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requested {
    Nothing,
    Cancel,
    Close,
    Stop,
}
