//! The pauses before attempts to connect.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::Options;
use crate::backoff::chance;

pub(super) struct Pauses {
    busy: Duration,
    longest: Duration,
    builder: ExponentialBuilder,
    /// Without jitter.
    nominal: ExponentialBackoff,
}

impl Pauses {
    pub(super) fn new(options: &Options) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(options.first)
            .with_max_delay(options.longest)
            .with_factor(2.0)
            .without_max_times();
        Self {
            busy: options.busy,
            longest: options.longest,
            builder,
            nominal: builder.build(),
        }
    }

    /// Begins with the first pause again, if a connection was open for long enough: one that is accepted and ended at once
    /// is no better than none.
    pub(super) fn was_open(&mut self, time: Duration) {
        if time >= self.longest {
            self.nominal = self.builder.build();
        }
    }

    /// Full jitter: anything up to the nominal pause, so that clients that lost their connection at the same time do not
    /// return at the same time.
    pub(super) fn next(&mut self, is_busy: bool) -> Duration {
        self.longest_next(is_busy).mul_f64(chance())
    }

    fn longest_next(&mut self, is_busy: bool) -> Duration {
        let nominal = self.nominal.next().unwrap_or(self.longest);
        match is_busy {
            true => nominal.max(self.busy),
            false => nominal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pauses() -> Pauses {
        Pauses::new(&Options::new().pauses(100 * MS, 1000 * MS, 2000 * MS))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_long_connection() {
        let mut pauses = pauses();
        let longest: Vec<_> = (0..7).map(|_| pauses.longest_next(false) / 100).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 20, 20].map(|n| n * MS));
        pauses.was_open(1999 * MS);
        assert_eq!(pauses.longest_next(false), 2000 * MS);
        pauses.was_open(2000 * MS);
        assert_eq!(pauses.longest_next(false), 100 * MS);
    }

    #[test]
    fn a_busy_gateway_gets_longer_pauses() {
        let mut pauses = pauses();
        assert_eq!(pauses.longest_next(true), 1000 * MS);
        let later = (0..5).map(|_| pauses.longest_next(true)).last();
        assert_eq!(later, Some(2000 * MS));
    }

    #[test]
    fn the_jitter_is_full() {
        let all: Vec<_> = (0..200).map(|_| pauses().next(false).as_millis()).collect();
        assert!(all.iter().all(|ms| *ms <= 100));
        for tenth in [0..20, 40..60, 80..101] {
            assert!(
                all.iter().any(|ms| tenth.contains(ms)),
                "{tenth:?} of {all:?}"
            );
        }
    }
}
