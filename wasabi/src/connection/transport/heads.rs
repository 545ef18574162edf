//! The times that a client has for the heads of its requests on one socket.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

/// Where a socket stands between two requests.
#[derive(Clone)]
pub(crate) struct Heads(Arc<Inner>);

struct Inner {
    now: watch::Sender<Head>,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// None is expected: hyper watches how long.
    Idle,
    /// It has begun, and must be there then.
    By(Instant),
    /// It is there, and the request is not answered to its end.
    Served,
}

/// A request that is being answered, until its answer is sent.
pub(crate) struct Serving(Heads);

impl Heads {
    /// The first head must be there at `first`, the others as long after their first byte as `timeout` says.
    pub(crate) fn new(first: Instant, timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            now: watch::Sender::new(Head::By(first)),
            timeout,
        }))
    }

    /// Something has come from the client.
    pub(crate) fn heard(&self) {
        self.0.now.send_if_modified(|head| {
            let begins = *head == Head::Idle;
            if begins {
                *head = Head::By(Instant::now() + self.0.timeout);
            }
            begins
        });
    }

    /// A head is there.
    pub(crate) fn serve(&self) -> Serving {
        self.0.now.send_replace(Head::Served);
        Serving(self.clone())
    }

    /// Waits until a head is late.
    pub(crate) async fn late(&self) {
        let mut changes = self.0.now.subscribe();
        loop {
            let head = *changes.borrow_and_update();
            // The sender lives in `self`.
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

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.now.send_if_modified(|head| {
            *head = Head::Idle;
            // Nothing is to be done about it.
            false
        });
    }
}
