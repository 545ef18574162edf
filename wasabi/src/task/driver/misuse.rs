//! What a client may do only rarely, and is closed for otherwise.

use super::count::Count;
use crate::{Close, CloseCode, connection::socket::Failure};

use tokio::time::Instant;

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
