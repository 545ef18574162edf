//! Limits the lines of one kind per second.

use std::{collections::HashMap, num::NonZeroU32, sync::Mutex};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::sync::Unpoisoned;

/// The lines per second after the first [`BURST`] lines.
const A_SECOND: u32 = 2;
const BURST: u32 = 20;

/// The number of keys with their own limit. Keys are routes; any further ones share a limit.
const KEPT: usize = 256;

/// The limits of one place in the code, by key.
#[derive(Default)]
pub(crate) struct LogLimits {
    /// Locked only briefly, and only for lines whose level is enabled.
    limits: Mutex<HashMap<Box<str>, Limit>>,
}

struct Limit {
    limiter: DefaultDirectRateLimiter,
    left_out: u64,
}

impl LogLimits {
    /// Whether a line may be written, and how many were skipped since the last one: `Some(None)` if none were.
    pub(crate) fn admit(&self, key: &str) -> Option<Option<u64>> {
        // No code panics while it is held.
        let mut limits = self.limits.lock().unpoisoned();
        let key = match limits.contains_key(key) || limits.len() < KEPT {
            true => key,
            false => "",
        };
        if !limits.contains_key(key) {
            limits.insert(key.into(), Limit::new());
        }
        limits.get_mut(key)?.admit()
    }
}

impl Limit {
    fn new() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(number(A_SECOND)).allow_burst(number(BURST));
        Self {
            limiter: RateLimiter::direct(quota),
            left_out: 0,
        }
    }

    fn admit(&mut self) -> Option<Option<u64>> {
        if self.limiter.check().is_err() {
            self.left_out += 1;
            return None;
        }
        let left_out = std::mem::take(&mut self.left_out);
        Some((left_out > 0).then_some(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_limit_are_left_out_and_counted_and_those_of_others_are_not() {
        let limits = LogLimits::default();
        let flood: Vec<_> = (0..1000).filter_map(|_| limits.admit("flood")).collect();
        let burst = BURST as usize;
        assert!((burst..burst + 4).contains(&flood.len()), "{flood:?}");
        assert!(flood[..burst].iter().all(Option::is_none), "{flood:?}");
        assert_eq!(limits.admit("calm"), Some(None));

        let counted: u64 = flood.iter().flatten().sum();
        std::thread::sleep(std::time::Duration::from_millis(600));
        let left_out = limits.admit("flood").expect("a line").expect("left out");
        assert_eq!(counted + left_out + flood.len() as u64, 1000);
    }

    #[test]
    fn keys_without_end_share_a_limit() {
        let limits = LogLimits::default();
        let lines = (0..10_000).filter(|n| limits.admit(&n.to_string()).is_some());
        assert!(lines.count() < KEPT + 2 * BURST as usize);
        assert!(limits.limits.lock().expect("no panic").len() <= KEPT + 1);
    }
}
