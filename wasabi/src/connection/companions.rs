//! The futures that run in a connection's task, alongside its requests.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    Connection,
    attached::Companion,
    in_flight::{self, InFlight, Shared, Tag, Woken},
    work,
};
use crate::{log::limited, sync::AtomicWaker};

/// The companions of one connection. Without any, they cost the connection one atomic load.
pub(crate) struct Companions(Option<Box<Running>>);

type Running = InFlight<Companion, (), Called>;

/// The companions that were woken, and the connection's task.
struct Called {
    woken: Woken,
    task: AtomicWaker,
}

impl Shared for Called {
    fn woken(&self) -> &Woken {
        &self.woken
    }

    fn wake_task(&self) {
        self.task.wake();
    }
}

/// Wakes the first companion.
impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        in_flight::wake(&**self, 0);
    }
}

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
            all.shared().task.register(task);
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
            let all = self.0.get_or_insert_with(|| running(cx.waker()));
            if !all.has_room() {
                limited!(ERROR, connection = %connection.id(), "too many companions");
                break;
            }
            any = true;
            let (index, ()) = all.reserve();
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

fn running(task: &Waker) -> Box<Running> {
    let called = Called {
        woken: Woken::default(),
        task: AtomicWaker::new(),
    };
    called.task.register(task);
    Box::new(InFlight::new(CAPACITY, Arc::new(called)))
}

fn step(all: &mut Running, index: usize) {
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
