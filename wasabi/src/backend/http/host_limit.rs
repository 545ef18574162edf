//! How many requests one host gets at the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts that are remembered while nothing is in flight to them. Functions may name any number of hosts.
const KEPT: usize = 64;

/// So many requests to each host.
pub(super) struct HostLimit {
    requests: usize,
    hosts: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

impl HostLimit {
    pub(super) fn new(requests: usize) -> Self {
        Self {
            requests: requests.min(Semaphore::MAX_PERMITS),
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place among the requests to this host.
    pub(super) async fn acquire(&self, host: &str) -> Permit<'_> {
        let semaphore = self.semaphore(host);
        let mut permit = Permit {
            limit: self,
            semaphore: Some(Arc::clone(&semaphore)),
            permit: None,
        };
        // The semaphore is never closed.
        permit.permit = semaphore.acquire_owned().await.ok();
        permit
    }

    fn semaphore(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.lock();
        if let Some(semaphore) = hosts.get(host) {
            return Arc::clone(semaphore);
        }
        let semaphore = Arc::new(Semaphore::new(self.requests));
        hosts.insert(host.into(), Arc::clone(&semaphore));
        semaphore
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Semaphore>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the requests to a host, or the wait for one.
pub(super) struct Permit<'a> {
    limit: &'a HostLimit,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.permit = None;
        self.semaphore = None;
        let mut hosts = self.limit.lock();
        if hosts.len() > KEPT {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
    }
}
