//! How much each client has left of a rate.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};

use super::Client;

/// So many a second for each client, and as many at once.
pub(super) struct Rate(
    RateLimiter<Client, FullAt, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
);

impl Rate {
    pub(super) fn per_second(number: NonZeroU32, max_clients: usize) -> Self {
        let full_at = FullAt::new(max_clients);
        Self(RateLimiter::new(
            Quota::per_second(number),
            full_at,
            MonotonicClock,
        ))
    }

    /// One more of this client, or how long it has to wait.
    pub(super) fn take(&self, client: Client) -> Result<(), Duration> {
        let taken = self.0.check_key(&client);
        taken.map_err(|until| until.wait_time_from(self.0.clock().now()))
    }
}

const SHARDS: usize = 16;

/// When each client will have its whole allowance back; a bounded number of clients, of 40 bytes or so.
struct FullAt {
    shards: [Mutex<HashMap<Client, Nanos>>; SHARDS],
    hasher: RandomState,
    max_per_shard: usize,
}

impl FullAt {
    fn new(max_clients: usize) -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            max_per_shard: max_clients.div_ceil(SHARDS).max(1),
        }
    }
}

impl StateStore for FullAt {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let shard = self.hasher.hash_one(client) as usize % SHARDS;
        let mut shard = self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = shard.get_mut(client) {
            let (outcome, new) = measure(Some(*full_at))?;
            *full_at = new;
            return Ok(outcome);
        }
        let (outcome, full_at) = measure(None)?;
        if shard.len() >= self.max_per_shard {
            forget_half(&mut shard);
        }
        shard.insert(*client, full_at);
        Ok(outcome)
    }
}

/// Forgets the half that soonest has its allowance back, or has it: rarely, and then thoroughly.
fn forget_half(full_at: &mut HashMap<Client, Nanos>) {
    let mut times: Vec<u64> = full_at.values().map(|&time| time.into()).collect();
    let middle = times.len() / 2;
    let (.., median, _) = times.select_nth_unstable(middle);
    let median = *median;
    full_at.retain(|_, time| u64::from(*time) > median);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(number: u32) -> Client {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn the_clients_that_are_remembered_are_bounded() {
        let rate = Rate::per_second(NonZeroU32::new(100).expect("more than none"), 160);
        for number in 0..10_000 {
            assert_eq!(rate.take(client(number)), Ok(()));
        }
        let remembered = |rate: Rate| {
            let shards = rate.0.into_state_store().shards;
            let lengths = shards.map(|shard| shard.into_inner().expect("no panic").len());
            lengths.iter().sum::<usize>()
        };
        assert!(remembered(rate) <= 160);
    }

    #[test]
    fn who_has_to_wait_is_told_how_long() {
        let rate = Rate::per_second(NonZeroU32::new(1).expect("more than none"), 16);
        assert_eq!(rate.take(client(1)), Ok(()));
        let wait = rate.take(client(1)).expect_err("a second");
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(500));
        assert_eq!(rate.take(client(2)), Ok(()));
    }
}
