//! One call for equal requests at the same time.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    digest::{ByDigest, Digest, Secret},
    sharded::{Sharded, shrink},
};

/// The calls in progress, by level and key; clones share them.
///
/// The level of a call is the number of calls that its request is already making: calls around it, of this or of
/// another cache. A request waits only on deeper levels, so waits cannot form a cycle, however the same caches are
/// nested.
pub(super) struct Calls<O> {
    made: Arc<Sharded<Digest, Arc<Call<O>>, ByDigest>>,
    secret: Secret,
}

struct Call<O> {
    /// One permit: its holder makes the call. Closed when the call has ended.
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

    /// Joins the requests that wait for the call at this level with this key, or becomes the first of them.
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

/// A request that waits for a call or makes it. The last one to leave without an outcome removes the call.
pub(super) struct Joined<'a, O> {
    calls: &'a Calls<O>,
    at: Digest,
    call: Arc<Call<O>>,
}

/// What a request does next.
pub(super) enum Turn<'a, O> {
    /// The call has ended with this outcome.
    Made(&'a O),
    /// The caller makes the call. Dropped before its end, this passes the turn to the request that has waited longest.
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

    /// Removes the call, unless a newer one has replaced it.
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
    /// Gives the outcome to all waiting requests. Later requests make another call.
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
