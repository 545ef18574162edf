//! Deadlines for the request heads that a client sends on one socket.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::sync::{AtomicWaker, Mutex, Unpoisoned};

/// The state of a socket between two requests.
#[derive(Clone)]
pub(super) struct Heads(Arc<HeadClock>);

struct HeadClock {
    now: Mutex<Head>,
    /// The task that waits for a late head.
    task: AtomicWaker,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// No head is expected. hyper limits how long.
    Idle,
    /// A head has begun and must be complete by this time.
    By(Instant),
    /// The head is complete, and its request is still being answered.
    Served,
}

/// A request in progress, until its answer is sent.
pub(super) struct BeingServed(Heads);

impl Heads {
    /// The first head must be complete at `first`, each later one within `timeout` of its first byte.
    pub(super) fn new(first: Instant, timeout: Duration) -> Self {
        Self(Arc::new(HeadClock {
            now: Mutex::new(Head::By(first)),
            task: AtomicWaker::new(),
            timeout,
        }))
    }

    /// Data has arrived from the client.
    pub(super) fn heard(&self) {
        let mut head = self.0.now.lock().unpoisoned();
        if *head == Head::Idle {
            *head = Head::By(Instant::now() + self.0.timeout);
            drop(head);
            self.0.task.wake();
        }
    }

    /// A head is complete.
    pub(super) fn serve(&self) -> BeingServed {
        *self.0.now.lock().unpoisoned() = Head::Served;
        BeingServed(self.clone())
    }

    /// When the head that has begun must be complete.
    fn deadline(&self) -> Option<Instant> {
        match *self.0.now.lock().unpoisoned() {
            Head::By(time) => Some(time),
            Head::Idle | Head::Served => None,
        }
    }

    /// Waits until a head is late. One task may do so.
    pub(super) async fn late(&self) {
        let first = self.deadline().unwrap_or_else(Instant::now);
        let mut sleep = pin!(sleep_until(first));
        poll_fn(|cx| {
            self.0.task.register(cx.waker());
            // A deadline that has been met wakes the task once in vain.
            let Some(time) = self.deadline() else {
                return Poll::Pending;
            };
            if sleep.deadline() != time {
                sleep.as_mut().reset(time);
            }
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}

impl Drop for BeingServed {
    fn drop(&mut self) {
        // No deadline begins, so `late` need not wake.
        *self.0.0.now.lock().unpoisoned() = Head::Idle;
    }
}
