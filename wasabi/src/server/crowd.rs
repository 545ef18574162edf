//! A set of sockets in which the oldest makes room for a new one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::sync::Unpoisoned;

/// The operators' sockets: few, and none of them may keep a probe from being answered.
#[derive(Clone, Default)]
pub(super) struct Crowd(Arc<Mutex<Sockets>>);

#[derive(Default)]
struct Sockets {
    next: u64,
    by_age: BTreeMap<u64, Arc<Socket>>,
}

struct Socket {
    leave: CancellationToken,
    /// Requests whose answer has not started yet.
    working: AtomicUsize,
}

/// An open socket; dropping this removes it from the crowd.
pub(super) struct Member {
    crowd: Crowd,
    age: u64,
    socket: Arc<Socket>,
}

/// A request in progress.
pub(super) struct Working(Arc<Socket>);

/// Counts the requests of a socket that are in progress.
#[derive(Clone)]
pub(super) struct Worker(Arc<Socket>);

impl Crowd {
    pub(super) fn enter(&self) -> Member {
        let socket = Arc::new(Socket {
            leave: CancellationToken::new(),
            working: AtomicUsize::new(0),
        });
        let mut sockets = self.lock();
        let age = sockets.next;
        sockets.next += 1;
        sockets.by_age.insert(age, Arc::clone(&socket));
        Member {
            crowd: self.clone(),
            age,
            socket,
        }
    }

    /// Closes the oldest socket that waits for its client, or else the oldest of all.
    pub(super) fn make_room(&self) {
        let mut sockets = self.lock();
        let is_idle = |socket: &Socket| socket.working.load(Ordering::Relaxed) == 0;
        let idle = sockets.by_age.iter().find(|(_, socket)| is_idle(socket));
        let leaves = idle.or(sockets.by_age.iter().next());
        if let Some(age) = leaves.map(|(age, _)| *age)
            && let Some(socket) = sockets.by_age.remove(&age)
        {
            socket.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sockets> {
        self.0.lock().unpoisoned()
    }
}

impl Member {
    /// Waits until the socket must make room.
    pub(super) async fn sent_away(&self) {
        self.socket.leave.cancelled().await;
    }

    pub(super) fn worker(&self) -> Worker {
        Worker(Arc::clone(&self.socket))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.lock().by_age.remove(&self.age);
    }
}

impl Worker {
    pub(super) fn work(&self) -> Working {
        self.0.working.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(&self.0))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}
