//! The hosts of one backend that could not be reached.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{BoxError, Error, Result, backend::dial_memory::DialMemory, sync::Unpoisoned};

/// The maximum number of remembered hosts. Functions may name any number of them.
const KEPT: usize = 64;

/// Remembers the hosts that could not be reached.
pub(super) struct Dials {
    longest: Duration,
    /// While it is `false`, requests skip the lock.
    any_fails: AtomicBool,
    failing: Mutex<Failing>,
}

/// Why each host could not be reached.
type Failing = HashMap<Box<str>, Arc<DialMemory<Arc<str>>>>;

impl Dials {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            any_fails: AtomicBool::new(false),
            failing: Mutex::default(),
        }
    }

    /// Asks for permission to send to this host, over a new or an existing connection.
    pub(super) fn admit(&self, host: &str) -> Result<()> {
        if !self.any_fails.load(Ordering::Relaxed) {
            return Ok(());
        }
        let failing = self.lock().get(host).map(Arc::clone);
        failing
            .map_or(Ok(()), |host| host.admit())
            .map_err(|why| Error::UpstreamUnreachable(why.to_string().into()))
    }

    pub(super) fn reached(&self, host: &str) {
        if self.any_fails.load(Ordering::Relaxed) {
            let mut failing = self.lock();
            failing.remove(host);
            self.any_fails.store(!failing.is_empty(), Ordering::Relaxed);
        }
    }

    /// Records that a request that began at this time could not connect.
    pub(super) fn failed(&self, host: &str, began: Instant, why: &BoxError) {
        let mut failing = self.lock();
        if failing.len() >= KEPT && !failing.contains_key(host) {
            failing.retain(|_, host| host.remembered().is_some());
            if failing.len() >= KEPT {
                return;
            }
        }
        failing
            .entry(host.into())
            .or_insert_with(|| Arc::new(DialMemory::new(self.longest)))
            .failed(began, why.to_string().into());
        self.any_fails.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Failing> {
        // No code panics while it holds the lock.
        self.failing.lock().unpoisoned()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(dials: &Dials, host: &str) {
        dials.failed(host, Instant::now(), &BoxError::from("refused"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_cannot_be_reached_is_left_alone_and_others_are_not() {
        let dials = Dials::new(SECOND);
        fail(&dials, "a");
        assert!(dials.admit("a").is_err());
        assert!(dials.admit("b").is_ok());
        dials.reached("b");
        assert!(dials.admit("a").is_err());
        advance(SECOND).await;
        assert!(dials.admit("a").is_ok());
        dials.reached("a");
        assert!((0..10).all(|_| dials.admit("a").is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_hosts_is_bounded() {
        let dials = Dials::new(SECOND);
        for n in 0..KEPT * 2 {
            fail(&dials, &n.to_string());
        }
        assert_eq!(dials.lock().len(), KEPT);
        advance(SECOND).await;
        fail(&dials, "one more");
        assert_eq!(dials.lock().len(), 1);
    }
}
