//! The pauses between attempts.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{mistakes::Mistakes, time::FOREVER};

/// The pauses before further attempts, and their number: for [`Retry`](crate::middleware::request::Retry) and
/// [`WebSocket::reconnect`](crate::WebSocket::reconnect).
///
/// Each pause is random, between half and all of the nominal one, so that callers that failed together do not come back
/// together. No pause follows the last attempt.
///
/// ```
/// use std::time::Duration;
/// use wasabi::Backoff;
///
/// // About 100 ms, 200 ms, 400 ms, .. up to 2 s.
/// let patient = Backoff::exponential(Duration::from_millis(100))
///     .max_pause(Duration::from_secs(2))
///     .retries(10);
/// let steady = Backoff::constant(Duration::from_secs(1));
/// # drop((patient, steady));
/// ```
#[derive(Clone)]
#[must_use = "a backoff does nothing until `Retry` or `WebSocket` uses it"]
pub struct Backoff {
    kind: PauseKind,
    retries: Option<usize>,
    mistakes: Mistakes,
}

#[derive(Clone)]
enum PauseKind {
    Nominal {
        first: Duration,
        longest: Duration,
        factor: f32,
    },
    Custom(Arc<dyn Fn() -> Box<dyn Iterator<Item = Duration> + Send> + Send + Sync>),
}

/// The remaining pauses. When they end, there are no more attempts.
pub(crate) enum Pauses {
    Nominal(ExponentialBackoff),
    Custom(Box<dyn Iterator<Item = Duration> + Send>, Option<usize>),
}

impl Backoff {
    /// Pauses that double, from `first` up to the [`max_pause`](Self::max_pause). Zero is a mistake.
    pub fn exponential(first: Duration) -> Self {
        Self::nominal(
            "Backoff::exponential",
            first,
            wasabi_rules::MAX_PAUSE.max(first),
            2.0,
        )
    }

    /// Pauses of the same nominal length. Zero is a mistake.
    pub fn constant(pause: Duration) -> Self {
        Self::nominal("Backoff::constant", pause, pause, 1.0)
    }

    fn nominal(call: &str, first: Duration, longest: Duration, factor: f32) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.above_zero(call, first);
        Self {
            kind: PauseKind::Nominal {
                first: first.min(FOREVER),
                longest: longest.min(FOREVER),
                factor,
            },
            retries: None,
            mistakes,
        }
    }

    /// Custom pauses, used unchanged. The function is called after the first failure; the attempts end when the
    /// iterator does.
    pub fn custom<F, I>(pauses: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: Iterator<Item = Duration> + Send + 'static,
    {
        Self {
            kind: PauseKind::Custom(Arc::new(move || Box::new(pauses()))),
            retries: None,
            mistakes: Mistakes::default(),
        }
    }

    /// Limits each pause (default: 30 s). Zero is a mistake, and so is a maximum for [`custom`](Self::custom) pauses.
    pub fn max_pause(mut self, pause: Duration) -> Self {
        self.mistakes.above_zero("Backoff::max_pause", pause);
        match &mut self.kind {
            PauseKind::Nominal { longest, .. } => *longest = pause.min(FOREVER),
            PauseKind::Custom(_) => self
                .mistakes
                .push("`max_pause` has no effect on `Backoff::custom(..)`; remove it".to_owned()),
        }
        self
    }

    /// Sets the number of further attempts; 0 means none. Default: three for
    /// [`Retry`](crate::middleware::request::Retry), since a client waits for it, and unlimited for
    /// [`reconnect`](crate::WebSocket::reconnect).
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets the number of further attempts, if it is not set yet.
    #[cfg(feature = "retry")]
    pub(crate) fn or_retries(mut self, retries: usize) -> Self {
        self.retries.get_or_insert(retries);
        self
    }

    pub(crate) fn mistakes(&self) -> &Mistakes {
        &self.mistakes
    }

    pub(crate) fn pauses(&self) -> Pauses {
        match &self.kind {
            PauseKind::Nominal {
                first,
                longest,
                factor,
            } => {
                // The jitter adds up to the same again, so that pauses are between half and all of the nominal one.
                let pauses = ExponentialBuilder::new()
                    .with_min_delay(*first.min(longest) / 2)
                    .with_max_delay(*longest / 2)
                    .with_factor(*factor)
                    .with_jitter();
                Pauses::Nominal(match self.retries {
                    Some(retries) => pauses.with_max_times(retries).build(),
                    None => pauses.without_max_times().build(),
                })
            }
            PauseKind::Custom(pauses) => Pauses::Custom(pauses(), self.retries),
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Nominal(pauses) => pauses.next(),
            Self::Custom(_, Some(0)) => None,
            Self::Custom(pauses, left) => {
                *left = left.map(|left| left - 1);
                pauses.next()
            }
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut backoff = f.debug_struct("Backoff");
        if let PauseKind::Nominal { first, longest, .. } = &self.kind {
            backoff.field("first", first).field("max_pause", longest);
        }
        backoff
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// A random number from 0 to 1. The random keys of hash maps are random enough here.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_are_random_in_their_upper_half() {
        let backoff = Backoff::exponential(100 * MS)
            .max_pause(500 * MS)
            .retries(6);
        for _ in 0..100 {
            let pauses: Vec<_> = backoff.pauses().collect();
            assert_eq!(pauses.len(), 6);
            for (pause, nominal) in pauses.into_iter().zip([100, 200, 400, 500, 500, 500]) {
                let nominal = nominal * MS;
                assert!(
                    nominal / 2 <= pause && pause <= nominal,
                    "{pause:?} for {nominal:?}"
                );
            }
        }
        let first: Vec<_> = (0..200).filter_map(|_| backoff.pauses().next()).collect();
        for tenth in [50..60, 90..101] {
            let is_there = |pause: &Duration| tenth.contains(&pause.as_millis());
            assert!(first.iter().any(is_there), "{tenth:?} of {first:?}");
        }
    }

    #[test]
    fn constant_pauses_go_on_until_a_number_ends_them() {
        let backoff = Backoff::constant(10 * MS);
        assert!((backoff.pauses().take(1000)).all(|pause| (5 * MS..=10 * MS).contains(&pause)));
        assert_eq!(backoff.clone().retries(2).pauses().count(), 2);
        assert_eq!(backoff.retries(0).pauses().count(), 0);
    }

    #[test]
    fn custom_pauses_are_exact_and_end_with_the_iterator_or_the_number() {
        let backoff = Backoff::custom(|| [7, 3, 5].into_iter().map(|ms| ms * MS));
        let pauses: Vec<_> = backoff.pauses().collect();
        assert_eq!(pauses, [7 * MS, 3 * MS, 5 * MS]);
        assert_eq!(backoff.clone().retries(2).pauses().count(), 2);
        assert_eq!(backoff.clone().retries(9).pauses().count(), 3);
        assert_eq!(backoff.max_pause(MS).mistakes().as_slice().len(), 1);
    }
}
