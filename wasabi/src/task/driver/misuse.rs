//! What a client may do only rarely, and is closed for otherwise.

use std::time::Duration;

use crate::{Close, CloseCode, connection::socket::Failure, time::Moment};

/// Pings and pongs that a client may send per second: answering them is unsolicited work.
const CONTROL_FRAMES: u32 = 100;

/// Unreadable messages that a client may send per second. A well-behaved client sends none; each one is answered, and
/// costs as much as a request.
const INVALID_MESSAGES: u32 = 100;

/// Counts what a client did recently. Reads the clock only when there was too much of it.
pub(super) struct Misuse {
    since: Moment,
    control_frames: u32,
    invalid_messages: u32,
}

impl Misuse {
    pub(super) fn from(now: Moment) -> Self {
        Self {
            since: now,
            control_frames: 0,
            invalid_messages: 0,
        }
    }

    pub(super) fn control_frame(&mut self) -> Result<(), Failure> {
        self.control_frames += 1;
        if self.control_frames > CONTROL_FRAMES {
            self.begin_again("too many pings")?;
            self.control_frames = 1;
        }
        Ok(())
    }

    pub(super) fn invalid_message(&mut self) -> Result<(), Failure> {
        self.invalid_messages += 1;
        if self.invalid_messages > INVALID_MESSAGES {
            self.begin_again("too many invalid messages")?;
            self.invalid_messages = 1;
        }
        Ok(())
    }

    /// Counts from zero, unless it began to less than a second ago.
    fn begin_again(&mut self, too_many: &'static str) -> Result<(), Failure> {
        let now = Moment::now();
        if now - self.since < Duration::from_secs(1) {
            return Err(Failure::Rule(Close::new(CloseCode::POLICY, too_many)));
        }
        *self = Self::from(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_limit_per_second_is_allowed_and_one_more_is_not() {
        let mut misuse = Misuse::from(Moment::now());
        for _ in 0..10_000 {
            assert!(misuse.control_frame().is_ok() && misuse.invalid_message().is_ok());
            advance(Duration::from_millis(10)).await;
        }
        for count in [Misuse::control_frame, Misuse::invalid_message] {
            let mut misuse = Misuse::from(Moment::now());
            advance(Duration::from_millis(900)).await;
            assert!((0..100).all(|_| count(&mut misuse).is_ok()));
            assert!(count(&mut misuse).is_err());
        }
    }
}
