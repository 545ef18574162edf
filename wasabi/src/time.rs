//! Moments and limits of durations.

use std::{
    num::NonZeroU64,
    ops::{Add, Sub},
    sync::LazyLock,
    time::Duration,
};

use tokio::time::Instant;

/// The cap on settings that mean "never": 30 years. On some platforms, longer times do not fit into an `Instant`.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A moment by tokio's clock, in 8 bytes; also if there may be none. An `Instant` has 16, and a connection keeps several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

/// The moment from which the others count. Clocks that stand still, in tests, may show earlier ones.
static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds at `FIRST`.
const MIDDLE: u64 = 1 << 63;

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    #[inline]
    fn of(nanos: u64) -> Self {
        Self(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }

    /// The time since this moment.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// The same for tokio's timers; at most [`FOREVER`] after the first.
    pub(crate) fn instant(self) -> Instant {
        let (nanos, first) = (self.0.get(), *FIRST);
        match nanos.checked_sub(MIDDLE) {
            Some(after) => first + Duration::from_nanos(after).min(FOREVER),
            None => {
                let before = first.checked_sub(Duration::from_nanos(MIDDLE - nanos));
                before.unwrap_or(first)
            }
        }
    }
}

impl From<Instant> for Moment {
    #[inline]
    fn from(instant: Instant) -> Self {
        let first = *FIRST;
        Self::of(match instant.checked_duration_since(first) {
            Some(after) => MIDDLE.saturating_add(nanos(after)),
            None => MIDDLE.saturating_sub(nanos(first - instant)),
        })
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, time: Duration) -> Self {
        Self::of(self.0.get().saturating_add(nanos(time)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// Zero if the other is later.
    #[inline]
    fn sub(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(other.0.get()))
    }
}

#[inline]
fn nanos(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_moment_is_the_instant_that_it_was_made_of_before_and_after_the_first() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
        let now = Instant::now();
        for instant in [now, now + 5 * SECOND, *FIRST - 5 * SECOND] {
            assert_eq!(Moment::from(instant).instant(), instant);
        }
    }

    #[test]
    fn moments_are_reckoned_with_like_instants() {
        let now = Moment::now();
        let later = now + 2 * SECOND;
        assert_eq!(later.instant(), now.instant() + 2 * SECOND);
        assert_eq!((later - now, now - later), (2 * SECOND, Duration::ZERO));
        assert!(later > now && Moment::from(now.instant() + SECOND) < later);
    }

    #[test]
    fn a_time_without_end_is_far_away() {
        let never = Moment::now() + Duration::MAX;
        assert_eq!(never, never + SECOND);
        assert_eq!(never.instant(), *FIRST + FOREVER);
    }

    #[tokio::test(start_paused = true)]
    async fn moments_follow_the_clock_of_tests() {
        let began = Moment::now();
        tokio::time::advance(SECOND).await;
        assert_eq!(began.elapsed(), SECOND);
    }
}
