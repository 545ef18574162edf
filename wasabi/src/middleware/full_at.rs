//! The state of rate limits with keys.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

use governor::{nanos::Nanos, state::StateStore};

use crate::sharded::{SHARDS, Sharded};

/// The time at which each key has its whole allowance back, for a bounded number of keys.
pub(super) struct FullAt<K, S> {
    full_at: Sharded<K, Nanos, S>,
    max_per_shard: usize,
}

impl<K, S: Default> FullAt<K, S> {
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            full_at: Sharded::default(),
            max_per_shard: max_keys.div_ceil(SHARDS).max(1),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full_at.len()
    }
}

impl<K: Hash + Eq + Clone, S: BuildHasher> StateStore for FullAt<K, S> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.full_at.shard(key);
        if let Some(full_at) = shard.get_mut(key) {
            let (outcome, new) = measure(Some(*full_at))?;
            *full_at = new;
            return Ok(outcome);
        }
        let (outcome, full_at) = measure(None)?;
        if shard.len() >= self.max_per_shard {
            forget_half(&mut shard);
        }
        shard.insert(key.clone(), full_at);
        Ok(outcome)
    }
}

/// Forgets the half of the keys that have, or soonest will have, their allowance back. Removing many makes this rare.
fn forget_half<K: Hash + Eq, S: BuildHasher>(full_at: &mut HashMap<K, Nanos, S>) {
    let mut times: Vec<u64> = full_at.values().map(|&time| time.into()).collect();
    let middle = times.len() / 2;
    let (.., median, _) = times.select_nth_unstable(middle);
    let median = *median;
    full_at.retain(|_, time| u64::from(*time) > median);
}
