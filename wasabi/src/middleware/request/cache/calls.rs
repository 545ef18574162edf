//! One call for equal requests that come at the same time.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    digest::{ByDigest, Digest, Secret},
    sharded::{Sharded, shrink},
};

/// The calls that are being made, by level and key; clones share them.
///
/// The level of a call is the number of those that its maker makes already: one that is around it, of this or of
/// another cache. Who makes calls at some levels thus waits at higher ones only, and nobody for itself, nor two for each
/// other, however the same caches are put around each other.
pub(super) struct Calls<O> {
    made: Arc<Sharded<Digest, Arc<Call<O>>, ByDigest>>,
    secret: Secret,
}

struct Call<O> {
    /// One permit: who has it makes the call. Closed when it has been made.
    turn: Semaphore,
    outcome: OnceLock<O>,
}

impl<O> Calls<O> {
    pub(super) fn new() -> Self {
        Self {
            made: Arc::default(),
            secret: Secret::new(),
        }
    }

    /// Joins those who wait for the call at this level with this key, or is the first of them.
    pub(super) fn join(&self, level: usize, key: Digest) -> Joined<'_, O> {
        let at = self.secret.digest(&(level, key));
        let mut shard = self.made.shard(&at);
        let call = shard.entry(at).or_insert_with(|| {
            Arc::new(Call {
                turn: Semaphore::new(1),
                outcome: OnceLock::new(),
            })
        });
        Joined {
            calls: self,
            call: Arc::clone(call),
            at,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }
}

impl<O> Clone for Calls<O> {
    fn clone(&self) -> Self {
        Self {
            made: Arc::clone(&self.made),
            secret: self.secret.clone(),
        }
    }
}

/// One of those who wait for a call, or make it. The last one to go without an outcome forgets the call.
pub(super) struct Joined<'a, O> {
    calls: &'a Calls<O>,
    at: Digest,
    call: Arc<Call<O>>,
}

/// Whose turn it is.
pub(super) enum Turn<'a, O> {
    /// The call has been made, and came to this.
    Made(&'a O),
    /// The caller makes it. Dropped before its end, it leaves the turn to the one who has waited longest.
    Mine(Mine<'a, O>),
}

pub(super) struct Mine<'a, O> {
    joined: &'a Joined<'a, O>,
    _turn: SemaphorePermit<'a>,
}

impl<O> Joined<'_, O> {
    pub(super) async fn wait(&self) -> Turn<'_, O> {
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
        let mut shard = self.calls.made.shard(&self.at);
        let is_last = || Arc::strong_count(&self.call) == 2; // this one, and the map's
        if let Some(call) = shard.get(&self.at)
            && Arc::ptr_eq(call, &self.call)
            && (also_if_others_wait || is_last())
        {
            shard.remove(&self.at);
            shrink(&mut shard);
        }
    }
}

impl<O> Mine<'_, O> {
    /// Tells the outcome to all who wait. Those who come from now on make another call.
    pub(super) fn finish(self, outcome: O) {
        self.joined.forget(true);
        let call = &self.joined.call;
        let _ = call.outcome.set(outcome);
        call.turn.close();
    }
}

impl<O> Drop for Joined<'_, O> {
    fn drop(&mut self) {
        self.forget(false);
    }
}
