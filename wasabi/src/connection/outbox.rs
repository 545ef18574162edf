//! What waits to be sent to one client, from whichever task it comes.

use std::{
    collections::VecDeque,
    mem,
    sync::{OnceLock, atomic::Ordering},
    task::Waker,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    Close, Message,
    sync::{AtomicBool, AtomicU64, AtomicWaker, Mutex, MutexGuard, Unpoisoned},
};

/// A bounded queue of messages; the connection's task takes them out.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// There may be something in the queue that its task has not seen: it looks here for every message, and at the
    /// queue only then.
    fresh: AtomicBool,
    max_messages: usize,
    max_bytes: usize,
    /// The connection's task.
    owner: AtomicWaker,
    /// Senders that wait for room.
    room: Notify,
    ended: OnceLock<Close>,
    /// What the client had asked for before is done, too.
    finished: AtomicBool,
    end: Notify,
    /// Milliseconds from `opened` to the end of the client's credentials.
    expires: AtomicU64,
    opened: Instant,
}

/// No end.
const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// What the connection's task has taken and not written yet counts as well.
    count: usize,
    bytes: usize,
    /// Asked for by the server; the first one counts.
    close: Option<Close>,
    stop: bool,
    shut: bool,
}

/// The connection is closed, or about to be; the message comes back.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub struct SendError(pub Message);

/// Why a message could not be queued at once; it comes back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The send queue is full.
    #[error("the send queue is full")]
    Full(Message),
    /// The connection is closed, or about to be.
    #[error("the connection is closed")]
    Closed(Message),
}

impl TrySendError {
    /// The same with the message that was to be sent, before interceptors had changed it.
    pub(crate) fn about(self, message: Message) -> Self {
        match self {
            Self::Full(_) => Self::Full(message),
            Self::Closed(_) => Self::Closed(message),
        }
    }
}

impl Outbox {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            fresh: AtomicBool::new(false),
            max_messages,
            max_bytes,
            owner: AtomicWaker::new(),
            room: Notify::new(),
            ended: OnceLock::new(),
            finished: AtomicBool::new(false),
            end: Notify::new(),
            expires: AtomicU64::new(NEVER),
            opened: Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and a queue is whole between any two operations.
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
        queue.messages.push_back(message);
        self.fresh.store(true, Ordering::Release);
        drop(queue);
        if first {
            self.owner.wake();
        }
        Ok(())
    }

    pub(crate) async fn send(&self, mut message: Message) -> Result<(), SendError> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Listening starts before looking, else a release in between is missed.
            room.as_mut().enable();
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            room.await;
        }
    }

    pub(crate) fn close(&self, close: Close) {
        let mut queue = self.lock();
        queue.close.get_or_insert(close);
        self.fresh.store(true, Ordering::Release);
        drop(queue);
        self.owner.wake();
        self.room.notify_waiters();
    }

    /// Ends the connection at once: nothing more is sent but, if it fits, the close frame.
    pub(crate) fn stop(&self, close: Close) {
        let mut queue = self.lock();
        queue.stop = true;
        queue.close.get_or_insert(close);
        self.fresh.store(true, Ordering::Release);
        drop(queue);
        self.owner.wake();
        self.room.notify_waiters();
    }

    /// How many messages wait, and how many bytes they have.
    #[cfg(feature = "metrics")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.count, queue.bytes)
    }

    /// How long the connection has been there.
    #[cfg(feature = "metrics")]
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn is_closing(&self) -> bool {
        let queue = self.lock();
        queue.shut || queue.close.is_some()
    }

    /// The client's credentials are good for so long from now; `None` for ever.
    pub(crate) fn expire_in(&self, time: Option<Duration>) {
        let millis = time.map_or(NEVER, |time| {
            let millis = (self.opened.elapsed().saturating_add(time)).as_millis();
            u64::try_from(millis).unwrap_or(NEVER)
        });
        self.expires.store(millis, Ordering::Release);
        self.owner.wake();
    }

    pub(crate) async fn closed(&self) -> Close {
        loop {
            let end = self.end.notified();
            tokio::pin!(end);
            end.as_mut().enable();
            if let Some(close) = self.ended.get() {
                return close.clone();
            }
            end.await;
        }
    }

    /// Waits for the end of the connection and of its requests.
    pub(crate) async fn finished(&self) -> Close {
        loop {
            let end = self.end.notified();
            tokio::pin!(end);
            end.as_mut().enable();
            if self.finished.load(Ordering::Acquire)
                && let Some(close) = self.ended.get()
            {
                return close.clone();
            }
            end.await;
        }
    }

    // What follows is for the connection's task.

    pub(crate) fn register(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    /// When the client's credentials end.
    pub(crate) fn expires(&self) -> Option<Instant> {
        match self.expires.load(Ordering::Acquire) {
            NEVER => None,
            millis => self.opened.checked_add(Duration::from_millis(millis)),
        }
    }

    /// Moves everything that waits into `batch`, which must be empty, and tells once what is wanted.
    pub(crate) fn take(&self, batch: &mut VecDeque<Message>) -> Requested {
        if !self.fresh.load(Ordering::Acquire) {
            return Requested::Nothing;
        }
        let mut queue = self.lock();
        self.fresh.store(false, Ordering::Relaxed);
        mem::swap(&mut queue.messages, batch);
        if queue.stop {
            Requested::Stop
        } else if queue.close.is_some() {
            Requested::Close
        } else {
            Requested::Nothing
        }
    }

    /// Has the connection's task look at its connection.
    pub(crate) fn wake(&self) {
        self.owner.wake();
    }

    pub(crate) fn wants_stop(&self) -> bool {
        self.lock().stop
    }

    pub(crate) fn requested_close(&self) -> Option<Close> {
        self.lock().close.clone()
    }

    /// Gives back the room of messages that have been written.
    pub(crate) fn release(&self, count: usize, bytes: usize) {
        if count == 0 {
            return;
        }
        let mut queue = self.lock();
        queue.count = queue.count.saturating_sub(count);
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.room.notify_waiters();
    }

    /// Nothing can be sent from now on.
    pub(crate) fn shut(&self) {
        let mut queue = self.lock();
        queue.shut = true;
        queue.messages = VecDeque::new();
        drop(queue);
        self.room.notify_waiters();
    }

    /// The connection has ended.
    pub(crate) fn end(&self, close: Close) {
        self.shut();
        let _ = self.ended.set(close);
        self.end.notify_waiters();
    }

    /// Its requests have ended, too.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.end.notify_waiters();
    }
}

/// What the server wants of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requested {
    Nothing,
    Close,
    Stop,
}
