//! A map that many cores use at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::digest::{ByDigest, Digest};

const SHARDS: usize = 16;

/// A hash map in shards, each with a lock of its own. Of a key no more than its digest is kept.
pub(super) struct Keyed<V>([Mutex<Shard<V>>; SHARDS]);

pub(super) type Shard<V> = HashMap<Digest, V, ByDigest>;

impl<V> Keyed<V> {
    #[cfg(feature = "rate-limit")]
    pub(super) const SHARDS: usize = SHARDS;

    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// The part of the map where this key belongs.
    pub(super) fn shard(&self, key: Digest) -> MutexGuard<'_, Shard<V>> {
        lock(&self.0[key.part(SHARDS)])
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| lock(shard).len()).sum()
    }
}

/// Gives the memory of a burst of keys back, once they are gone.
pub(super) fn shrink<V>(shard: &mut Shard<V>) {
    if shard.is_empty() && shard.capacity() > 1024 {
        *shard = Shard::default();
    }
}

/// Every operation leaves the map whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
