//! What a client may do only rarely, and is closed for otherwise.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Close, CloseCode, connection::socket::Failure};

/// Pings and pongs that a client may send per second: answering them is unsolicited work.
const CONTROL_FRAMES: u32 = 100;

/// Unreadable messages that a client may send per second. A well-behaved client sends none; each one is answered, and
/// costs as much as a request.
const INVALID_MESSAGES: u32 = 100;

/// Counts what a client did recently.
pub(super) struct Misuse {
    control_frames: Count,
    invalid_messages: Count,
}

impl Misuse {
    pub(super) fn from(now: Instant) -> Self {
        Self {
            control_frames: Count::from(now),
            invalid_messages: Count::from(now),
        }
    }

    pub(super) fn control_frame(&mut self) -> Result<(), Failure> {
        allow(&mut self.control_frames, CONTROL_FRAMES, "too many pings")
    }

    pub(super) fn invalid_message(&mut self) -> Result<(), Failure> {
        let count = &mut self.invalid_messages;
        allow(count, INVALID_MESSAGES, "too many invalid messages")
    }
}

fn allow(count: &mut Count, most: u32, reason: &'static str) -> Result<(), Failure> {
    match count.add(most) {
        true => Ok(()),
        false => Err(Failure::Rule(Close::new(CloseCode::POLICY, reason))),
    }
}

/// A number of events, and since when they are counted.
struct Count {
    since: Instant,
    number: u32,
}

impl Count {
    fn from(now: Instant) -> Self {
        Self {
            since: now,
            number: 0,
        }
    }

    /// Counts one event. Returns `false` if there are more than `most` in a second. Reads the clock only when `most` is
    /// exceeded.
    fn add(&mut self, most: u32) -> bool {
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
    async fn the_limit_per_second_is_allowed_and_one_more_is_not() {
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
