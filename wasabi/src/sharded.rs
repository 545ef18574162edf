//! A map for concurrent use by many cores.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
};

use crate::sync::{Mutex, MutexGuard, Unpoisoned};

/// Locks are held for one look-up; with this many shards, threads rarely collide.
pub(crate) const SHARDS: usize = 16;

/// A hash map in shards, each with its own lock.
pub(crate) struct Sharded<K, V, S = RandomState> {
    shards: [Mutex<HashMap<K, V, S>>; SHARDS],
    hasher: S,
}

impl<K, V, S: Default> Default for Sharded<K, V, S> {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::default())),
            hasher: S::default(),
        }
    }
}

impl<K, V, S: BuildHasher> Sharded<K, V, S> {
    /// The shard of this key.
    pub(crate) fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, HashMap<K, V, S>> {
        // The maps inside the shards use the lowest and the highest bits of the hash.
        let shard = (self.hasher.hash_one(key) >> 32) as usize % SHARDS;
        self.shards[shard].lock().unpoisoned()
    }
}

impl<K, V, S> Sharded<K, V, S> {
    /// Locks one shard after another.
    pub(crate) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<K, V, S>>> {
        self.shards.iter().map(|shard| shard.lock().unpoisoned())
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }
}

/// Frees the memory of a burst of keys once they are gone.
pub(crate) fn shrink<K, V, S: Default>(shard: &mut HashMap<K, V, S>) {
    if shard.is_empty() && shard.capacity() > 1024 {
        *shard = HashMap::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ByDigest, Digest, Secret};

    fn fills_all_shards<K: Hash + Eq, S: BuildHasher + Default>(keys: impl Iterator<Item = K>) {
        let map = Sharded::<K, (), S>::default();
        let mut number = 0;
        for key in keys {
            map.shard(&key).insert(key, ());
            number += 1;
        }
        assert_eq!(map.len(), number);
        let fullest = map.shards().map(|shard| shard.len()).max();
        assert!(fullest < Some(2 * number / SHARDS), "{fullest:?}");
    }

    #[test]
    fn keys_of_every_kind_are_spread_over_the_shards() {
        fills_all_shards::<u64, RandomState>(0..4000);
        let secret = Secret::new();
        fills_all_shards::<Digest, ByDigest>((0..4000).map(|n: u32| secret.digest(&n)));
    }

    #[test]
    fn an_empty_shard_frees_the_memory_of_a_burst() {
        let mut shard: HashMap<u32, ()> = (0..10_000).map(|n| (n, ())).collect();
        shrink(&mut shard);
        assert_eq!(shard.len(), 10_000);
        shard.clear();
        shrink(&mut shard);
        assert_eq!(shard.capacity(), 0);
    }
}
