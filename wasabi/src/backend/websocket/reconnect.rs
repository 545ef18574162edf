//! When a lost upstream is connected to again.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    iter,
    sync::Arc,
    time::Duration,
};

use crate::mistakes::Mistakes;

/// A policy for [`WebSocket::reconnect`](crate::WebSocket::reconnect): the pauses before each attempt.
#[derive(Clone)]
pub struct Reconnect {
    delays: Arc<dyn Fn() -> Delays + Send + Sync>,
    attempts: Option<usize>,
    mistakes: Mistakes,
}

/// Pauses; at their end there are no more attempts.
pub(super) type Delays = Box<dyn Iterator<Item = Duration> + Send>;

impl Reconnect {
    /// Pauses that start at `first`, double each time up to `max`, and are prolonged by chance by up to as much
    /// again, so that the clients of a restarted upstream do not all come back at the same moment. No end of
    /// attempts unless [`attempts`](Self::attempts) sets one.
    pub fn exponential(first: Duration, max: Duration) -> Self {
        let mut policy = Self::delays(move || {
            iter::successors(Some(first), move |delay| {
                Some(delay.saturating_mul(2).min(max))
            })
            .map(|delay| delay.saturating_add(delay.mul_f64(chance())))
        });
        policy.mistakes.above_zero("Reconnect::exponential", first);
        policy.mistakes.above_zero("Reconnect::exponential", max);
        policy
    }

    /// Pauses of the same length. No end of attempts unless [`attempts`](Self::attempts) sets one.
    pub fn constant(delay: Duration) -> Self {
        let mut policy = Self::delays(move || iter::repeat(delay));
        policy.mistakes.above_zero("Reconnect::constant", delay);
        policy
    }

    /// Pauses of the user's: the function is called when an upstream is lost, and the iterator's end is the
    /// end of the attempts.
    pub fn delays<F, I>(delays: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: Iterator<Item = Duration> + Send + 'static,
    {
        Self {
            delays: Arc::new(move || Box::new(delays())),
            attempts: None,
            mistakes: Mistakes::default(),
        }
    }

    /// How many attempts there are at most before the client is closed.
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.mistakes.above_zero("Reconnect::attempts", attempts);
        self.attempts = Some(attempts);
        self
    }

    pub(super) fn mistakes(&self) -> &Mistakes {
        &self.mistakes
    }

    pub(super) fn start(&self) -> Delays {
        let delays = (self.delays)();
        match self.attempts {
            Some(attempts) => Box::new(delays.take(attempts)),
            None => delays,
        }
    }
}

/// From 0 to 1. The keys of hash maps are drawn by chance, which is chance enough here.
pub(super) fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_prolonged_by_chance() {
        let seconds = Duration::from_secs;
        let pauses: Vec<_> = Reconnect::exponential(seconds(1), seconds(5))
            .attempts(5)
            .start()
            .collect();
        let least = [1, 2, 4, 5, 5].map(seconds);
        assert_eq!(pauses.len(), least.len());
        for (pause, least) in pauses.into_iter().zip(least) {
            assert!((least..=least * 2).contains(&pause), "{pause:?}");
        }
    }
}
