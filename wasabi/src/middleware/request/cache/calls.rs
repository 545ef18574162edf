//! One call for equal requests that come at the same time.

use std::{
    hash::Hash,
    sync::{Arc, OnceLock},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::super::keyed::{Keyed, shrink};

/// The calls that are being made, by key; clones share them.
pub(super) struct Calls<K, O>(Arc<Keyed<Arc<K>, Arc<Call<O>>>>);

struct Call<O> {
    /// One permit: who has it makes the call. Closed when it has been made.
    turn: Semaphore,
    outcome: OnceLock<O>,
}

impl<K: Hash + Eq, O> Calls<K, O> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Keyed::new()))
    }

    /// Joins those who wait for the call with this key, or is the first of them.
    pub(super) fn join(&self, key: &Arc<K>) -> Joined<'_, K, O> {
        let mut shard = self.0.shard(key);
        let call = shard.entry(Arc::clone(key)).or_insert_with(|| {
            Arc::new(Call {
                turn: Semaphore::new(1),
                outcome: OnceLock::new(),
            })
        });
        Joined {
            calls: self,
            key: Arc::clone(key),
            call: Arc::clone(call),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, O> Clone for Calls<K, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One of those who wait for a call, or make it. The last one to go without an outcome forgets the call.
pub(super) struct Joined<'a, K: Hash + Eq, O> {
    calls: &'a Calls<K, O>,
    key: Arc<K>,
    call: Arc<Call<O>>,
}

/// Whose turn it is.
pub(super) enum Turn<'a, K: Hash + Eq, O> {
    /// The call has been made, and came to this.
    Made(&'a O),
    /// The caller makes it. Dropped before its end, it leaves the turn to the one who has waited longest.
    Mine(Mine<'a, K, O>),
}

pub(super) struct Mine<'a, K: Hash + Eq, O> {
    joined: &'a Joined<'a, K, O>,
    _turn: SemaphorePermit<'a>,
}

impl<K: Hash + Eq, O> Joined<'_, K, O> {
    pub(super) async fn wait(&self) -> Turn<'_, K, O> {
        let turn = self.call.turn.acquire().await;
        match (self.call.outcome.get(), turn) {
            (Some(outcome), _) => Turn::Made(outcome),
            (None, Ok(turn)) => Turn::Mine(Mine {
                joined: self,
                _turn: turn,
            }),
            (None, Err(_)) => unreachable!("it is closed with an outcome"),
        }
    }

    /// Forgets the call, unless there is another one already.
    fn forget(&self, also_if_others_wait: bool) {
        let mut shard = self.calls.0.shard(&self.key);
        let is_last = || Arc::strong_count(&self.call) == 2; // this one, and the map's
        if let Some(call) = shard.get(&self.key)
            && Arc::ptr_eq(call, &self.call)
            && (also_if_others_wait || is_last())
        {
            shard.remove(&self.key);
            shrink(&mut shard);
        }
    }
}

impl<K: Hash + Eq, O> Mine<'_, K, O> {
    /// Tells the outcome to all who wait. Those who come from now on make another call.
    pub(super) fn finish(self, outcome: O) {
        self.joined.forget(true);
        let call = &self.joined.call;
        let _ = call.outcome.set(outcome);
        call.turn.close();
    }
}

impl<K: Hash + Eq, O> Drop for Joined<'_, K, O> {
    fn drop(&mut self) {
        self.forget(false);
    }
}
