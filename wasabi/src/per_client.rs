//! Counts per client.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::sync::Unpoisoned;

/// A count for each client; a client with a count of zero takes no memory.
pub(crate) struct PerClient<C>(Arc<Mutex<HashMap<C, usize>>>);

/// One counted item, until it is dropped.
pub(crate) struct ClientPlace<C: Eq + Hash + Copy> {
    counts: PerClient<C>,
    client: C,
}

impl<C: Eq + Hash + Copy> PerClient<C> {
    /// Counts one more, unless the client has reached `most`.
    pub(crate) fn enter(&self, client: C, most: usize) -> Option<ClientPlace<C>> {
        let mut counts = self.lock();
        match counts.get_mut(&client) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => drop(counts.insert(client, 1)),
        }
        drop(counts);
        let counts = self.clone();
        Some(ClientPlace { counts, client })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<C, usize>> {
        self.0.lock().unpoisoned()
    }
}

impl<C: Eq + Hash + Copy> Drop for ClientPlace<C> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
        // Frees the memory of a crowd.
        if counts.capacity() > 1024 && counts.len() < counts.capacity() / 8 {
            counts.shrink_to_fit();
        }
    }
}

impl<C> Clone for PerClient<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Default for PerClient<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C> fmt::Debug for PerClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_limit_and_idle_clients_are_forgotten() {
        let counts = PerClient::default();
        let mut places: Vec<_> = (0..3).filter_map(|_| counts.enter(1, 2)).collect();
        assert_eq!(places.len(), 2);
        assert!(counts.enter(2, 2).is_some());
        places.pop();
        assert!(counts.enter(1, 2).is_some());
        drop(places);
        assert!(counts.lock().is_empty());
        let crowd: Vec<_> = (0..10_000)
            .filter_map(|client| counts.enter(client, 1))
            .collect();
        assert_eq!(crowd.len(), 10_000);
        drop(crowd);
        assert!(counts.lock().capacity() <= 1024);
        assert!(counts.enter(1, 0).is_none());
    }
}
