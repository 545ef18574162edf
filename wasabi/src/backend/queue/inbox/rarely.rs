//! Warnings that somebody else could cause without end.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_secs(10);

/// Lets one warning through in each ten seconds.
#[derive(Default)]
pub(super) struct Rarely(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Rarely {
    /// How many were left out since the last warning, if it is time for another one.
    pub(super) fn next(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now < last + PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_in_ten_seconds_says_how_many_were_left_out() {
        let (rarely, start) = (Rarely::default(), Instant::now());
        assert_eq!(rarely.at(start), Some(0));
        for _ in 0..1000 {
            assert_eq!(rarely.at(start + PAUSE / 2), None);
        }
        assert_eq!(rarely.at(start + PAUSE), Some(1000));
        assert_eq!(rarely.at(start + PAUSE), None);
    }
}
