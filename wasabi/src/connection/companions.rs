//! The futures that run in a connection's task, alongside its requests.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    Connection,
    attached::Companion,
    in_flight::{InFlight, Tag},
    work,
};
use crate::log::limited;

/// The companions of one connection. Without any, they cost the connection one atomic load.
pub(crate) struct Companions(InFlight<Companion, ()>);

impl Tag for () {
    fn clear(&mut self) {}
}

/// More than any gateway has backends.
const CAPACITY: usize = 1024;

impl Companions {
    pub(crate) fn new() -> Self {
        Self(InFlight::new(CAPACITY))
    }

    /// Sets the task to wake when a companion is woken.
    pub(crate) fn register(&self, task: &Waker) {
        self.0.register(task);
    }

    /// Polls the new and the woken companions. Returns `false` if there were none.
    pub(crate) fn poll(&mut self, connection: &Connection, cx: &Context<'_>) -> bool {
        let mut any = false;
        for word in 0..self.0.words() {
            let mut woken = self.0.take_woken(word);
            any |= woken != 0;
            while woken != 0 {
                let bit = woken.trailing_zeros();
                woken &= woken - 1;
                self.step(word * 64 + bit as usize);
            }
        }
        for companion in connection.take_companions() {
            if !self.0.has_room() {
                limited!(ERROR, connection = %connection.id(), "too many companions");
                break;
            }
            any = true;
            let (index, ()) = self.0.reserve(cx.waker());
            self.0.start(index, || companion);
            self.step(index);
        }
        any
    }

    fn step(&mut self, index: usize) {
        if self.0.tag_mut(index).is_none() {
            return; // woken after its end
        }
        work::spend(work::EACH);
        let mut polled = Poll::Pending;
        if !self.0.poll(index, &mut polled) {
            limited!(ERROR, "a companion of a connection panicked");
        } else if polled.is_pending() {
            return;
        }
        self.0.release(index);
    }

    /// Gives the companions this long to finish after the end of the connection, which they know of.
    pub(crate) async fn finish(mut self, connection: &Connection, limit: Duration) {
        if self.0.is_empty() {
            return;
        }
        let all = poll_fn(|cx| {
            self.register(cx.waker());
            work::begin();
            self.poll(connection, cx);
            if self.0.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::debug!(connection = %connection.id(), "companions are cut");
        }
    }
}
