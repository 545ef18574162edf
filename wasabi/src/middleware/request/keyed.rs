//! A map that many cores use at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

const SHARDS: usize = 16;

/// A hash map in shards, each with a lock of its own.
pub(super) struct Keyed<K, V> {
    shards: [Mutex<HashMap<K, V>>; SHARDS],
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Keyed<K, V> {
    #[cfg(feature = "rate-limit")]
    pub(super) const SHARDS: usize = SHARDS;

    pub(super) fn new() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
        }
    }

    /// The part of the map where this key belongs.
    pub(super) fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, V>> {
        let hash = self.hasher.hash_one(key) as usize;
        lock(&self.shards[hash % SHARDS])
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }
}

/// Gives the memory of a burst of keys back, once they are gone.
pub(super) fn shrink<K, V>(shard: &mut HashMap<K, V>) {
    if shard.is_empty() && shard.capacity() > 1024 {
        *shard = HashMap::new();
    }
}

/// Every operation leaves the map whole, also when a user's `Hash` or `Eq` panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
