//! Buffers the parts of a reply that its client has not taken yet.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, MutexGuard},
    task::{Poll, Waker},
};

use crate::{Message, Result, sync::Unpoisoned};

/// Carries parts from the reader of all replies to the stream of one request. The reader cannot wait for a client, so a
/// part that does not fit ends the reply.
#[derive(Default)]
pub(super) struct Parts(Mutex<WaitingParts>);

#[derive(Default)]
struct WaitingParts {
    waiting: VecDeque<Message>,
    bytes: usize,
    last: Option<Result<Message>>,
    waker: Option<Waker>,
}

/// A part that a client gets.
pub(super) struct Part {
    pub(super) message: Result<Message>,
    pub(super) is_last: bool,
}

impl Part {
    pub(super) fn last(message: Result<Message>) -> Self {
        Self {
            message,
            is_last: true,
        }
    }
}

/// Limits the number as well, because empty parts take memory too.
const MAX_WAITING: usize = 256;

impl Parts {
    /// Returns `false` if the part does not fit.
    pub(super) fn add(&self, message: Message, max_bytes: usize) -> bool {
        let mut inner = self.lock();
        let bytes = inner.bytes + message.len();
        if bytes > max_bytes || inner.waiting.len() >= MAX_WAITING {
            return false;
        }
        inner.bytes = bytes;
        inner.waiting.push_back(message);
        wake(inner);
        true
    }

    pub(super) fn end(&self, last: Result<Message>) {
        let mut inner = self.lock();
        inner.last = Some(last);
        wake(inner);
    }

    /// Waits for the next part.
    pub(super) async fn next(&self) -> Part {
        poll_fn(|cx| {
            let mut inner = self.lock();
            if let Some(message) = inner.waiting.pop_front() {
                inner.bytes -= message.len();
                return Poll::Ready(Part {
                    message: Ok(message),
                    is_last: false,
                });
            }
            if let Some(message) = inner.last.take() {
                return Poll::Ready(Part::last(message));
            }
            inner.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, WaitingParts> {
        // No code panics while it holds the lock.
        self.0.lock().unpoisoned()
    }
}

fn wake(mut inner: MutexGuard<'_, WaitingParts>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}
