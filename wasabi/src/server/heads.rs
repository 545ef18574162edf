//! Deadlines for the request heads that a client sends on one socket.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

/// The state of a socket between two requests.
#[derive(Clone)]
pub(super) struct Heads(Arc<HeadClock>);

struct HeadClock {
    now: watch::Sender<Head>,
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
            now: watch::Sender::new(Head::By(first)),
            timeout,
        }))
    }

    /// Data has arrived from the client.
    pub(super) fn heard(&self) {
        self.0.now.send_if_modified(|head| {
            let begins = *head == Head::Idle;
            if begins {
                *head = Head::By(Instant::now() + self.0.timeout);
            }
            begins
        });
    }

    /// A head is complete.
    pub(super) fn serve(&self) -> BeingServed {
        self.0.now.send_replace(Head::Served);
        BeingServed(self.clone())
    }

    /// Waits until a head is late.
    pub(super) async fn late(&self) {
        let mut changes = self.0.now.subscribe();
        loop {
            let head = *changes.borrow_and_update();
            // The sender lives in `self`, so the channel stays open.
            let changed = changes.changed();
            let Head::By(time) = head else {
                let _ = changed.await;
                continue;
            };
            if tokio::time::timeout_at(time, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for BeingServed {
    fn drop(&mut self) {
        self.0.0.now.send_if_modified(|head| {
            *head = Head::Idle;
            // No deadline begins, so `late` need not wake.
            false
        });
    }
}
