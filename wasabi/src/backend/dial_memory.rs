//! Remembers a failed dial. Until the next attempt its error is the answer.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    backoff::{Backoff, Pauses},
    sync::Unpoisoned,
    time::FOREVER,
};

/// Remembers why an upstream could not be reached; `E` is the error.
///
/// While dials fail, one caller may dial after each pause. All others get the remembered error.
pub(super) struct DialMemory<E> {
    longest: Duration,
    /// Locked for a few steps per dial, never across an `await`.
    failing: Mutex<Option<Failing<E>>>,
}

struct Failing<E> {
    why: E,
    /// When the last dial failed. A dial that began earlier brings no news.
    since: Instant,
    /// Nobody dials before this time.
    until: Instant,
    pauses: Pauses,
    pause: Duration,
}

/// The default for the longest pause.
pub(super) const MAX_DIAL_PAUSE: Duration = Duration::from_secs(2);

const FIRST: Duration = Duration::from_millis(10);

impl<E: Clone> DialMemory<E> {
    /// No pause is longer than `longest`; zero disables the memory.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest: longest.min(FOREVER),
            failing: Mutex::new(None),
        }
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The error of the last dial while a pause lasts.
    pub(super) fn remembered(&self) -> Option<E> {
        let failing = self.lock();
        let failing = failing.as_ref()?;
        (Instant::now() < failing.until).then(|| failing.why.clone())
    }

    /// Asks for permission to dial. While dials fail, the caller that gets it holds back all others for the next pause.
    pub(super) fn admit(&self) -> Result<(), E> {
        let mut failing = self.lock();
        if let Some(failing) = &mut *failing {
            let now = Instant::now();
            if now < failing.until {
                return Err(failing.why.clone());
            }
            failing.until = now + failing.pause;
        }
        Ok(())
    }

    /// Forgets the failure: the upstream has been reached.
    pub(super) fn reached(&self) {
        *self.lock() = None;
    }

    /// Records the failure of a dial that began at this time.
    pub(super) fn failed(&self, began: Instant, why: E) {
        if self.longest.is_zero() {
            return;
        }
        let mut failing = self.lock();
        let now = Instant::now();
        let mut pauses = match failing.take() {
            Some(other) if began < other.since => {
                *failing = Some(other);
                return;
            }
            Some(other) => other.pauses,
            None => Backoff::exponential(FIRST).max_pause(self.longest).pauses(),
        };
        let pause = pauses.next().unwrap_or(self.longest);
        *failing = Some(Failing {
            why,
            since: now,
            until: now + pause,
            pauses,
            pause,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing<E>>> {
        // No code panics while it holds the lock.
        self.failing.lock().unpoisoned()
    }
}

impl<E> fmt::Debug for DialMemory<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialMemory")
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn dials_that_fail_become_rare_and_are_one_at_a_time() {
        let memory = DialMemory::new(1000 * MS);
        let mut dials = Vec::new();
        for ms in 0..10_000_u32 {
            // A hundred callers ask at once, and each dial takes 5 ms.
            let admitted = (0..100).filter(|_| memory.admit().is_ok()).count();
            let began = Instant::now();
            if ms == 0 {
                assert_eq!(admitted, 100);
            } else {
                assert!(admitted <= 1, "{admitted} at once");
            }
            if admitted > 0 {
                dials.push(ms);
                advance(5 * MS).await;
                for _ in 0..admitted {
                    memory.failed(began, "refused");
                }
                assert_eq!(memory.remembered(), Some("refused"));
            }
            advance(MS).await;
        }
        assert!((15..=35).contains(&dials.len()), "{dials:?}");
        let last: Vec<_> = dials.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(
            last.iter()
                .rev()
                .take(5)
                .all(|pause| (490..=1010).contains(pause)),
            "{last:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_successful_dial_lets_everybody_dial_again() {
        let memory = DialMemory::new(1000 * MS);
        memory.failed(Instant::now(), "refused");
        assert_eq!(memory.admit(), Err("refused"));
        memory.reached();
        assert!((0..100).all(|_| memory.admit().is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_hangs_blocks_others_no_longer_than_the_pause() {
        let memory = DialMemory::new(1000 * MS);
        memory.failed(Instant::now(), "refused");
        advance(10 * MS).await;
        assert!(memory.admit().is_ok());
        assert!(memory.admit().is_err());
        advance(10 * MS).await;
        assert!(memory.admit().is_ok());
    }

    #[test]
    fn zero_remembers_nothing() {
        let memory = DialMemory::new(Duration::ZERO);
        memory.failed(Instant::now(), "refused");
        assert_eq!((memory.remembered(), memory.admit()), (None, Ok(())));
    }
}
