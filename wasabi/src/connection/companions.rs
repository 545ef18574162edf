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
pub(crate) struct Companions(Option<Box<InFlight<Companion, ()>>>);

impl Tag for () {
    fn clear(&mut self) {}
}

/// More than any gateway has backends.
const CAPACITY: usize = 1024;

impl Companions {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// Sets the task to wake when a companion is woken.
    pub(crate) fn register(&self, task: &Waker) {
        if let Some(all) = &self.0 {
            all.register(task);
        }
    }

    /// Polls the new and the woken companions. Returns `false` if there were none.
    pub(crate) fn poll(&mut self, connection: &Connection, cx: &Context<'_>) -> bool {
        let mut any = false;
        if let Some(all) = &mut self.0 {
            for word in 0..all.words() {
                let mut woken = all.take_woken(word);
                any |= woken != 0;
                while woken != 0 {
                    let bit = woken.trailing_zeros();
                    woken &= woken - 1;
                    step(all, word * 64 + bit as usize);
                }
            }
        }
        for companion in connection.take_companions() {
            let new = || Box::new(InFlight::new(CAPACITY));
            let all = self.0.get_or_insert_with(new);
            if !all.has_room() {
                limited!(ERROR, connection = %connection.id(), "too many companions");
                break;
            }
            any = true;
            let (index, ()) = all.reserve(cx.waker());
            all.start(index, || companion);
            step(all, index);
        }
        any
    }

    fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|all| all.is_empty())
    }

    /// Gives the companions this long to finish after the end of the connection, which they know of.
    pub(crate) async fn finish(mut self, connection: &Connection, limit: Duration) {
        if self.is_empty() {
            return;
        }
        let all = poll_fn(|cx| {
            self.register(cx.waker());
            work::begin();
            self.poll(connection, cx);
            if self.is_empty() {
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

fn step(all: &mut InFlight<Companion, ()>, index: usize) {
    if all.tag_mut(index).is_none() {
        return; // woken after its end
    }
    work::spend(work::EACH);
    let mut polled = Poll::Pending;
    if !all.poll(index, &mut polled) {
        limited!(ERROR, "a companion of a connection panicked");
    } else if polled.is_pending() {
        return;
    }
    all.release(index);
}
