//! Counts events per second, to limit what a client may do only rarely.

use std::time::Duration;

use tokio::time::Instant;

/// A number of events, and since when they are counted.
pub(super) struct Count {
    since: Instant,
    number: u32,
}

impl Count {
    pub(super) fn from(now: Instant) -> Self {
        Self {
            since: now,
            number: 0,
        }
    }

    /// Counts one event. Returns `false` if there are more than `most` in a second. Reads the clock only when `most` is
    /// exceeded.
    pub(super) fn add(&mut self, most: u32) -> bool {
        self.number += 1;
        if self.number > most {
            let now = Instant::now();
            if now - self.since < Duration::from_secs(1) {
                return false;
            }
            (self.since, self.number) = (now, 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn as_many_in_a_second_may_go_on_for_ever_and_one_more_may_not() {
        let mut count = Count::from(Instant::now());
        for _ in 0..10_000 {
            assert!(count.add(100));
            advance(Duration::from_millis(10)).await;
        }
        let mut count = Count::from(Instant::now());
        advance(Duration::from_millis(900)).await;
        assert!((0..100).all(|_| count.add(100)));
        assert!(!count.add(100));
    }
}
