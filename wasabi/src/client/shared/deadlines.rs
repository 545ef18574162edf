//! Deadlines of calls that have no caller: those that leave a group. The next call that follows it waits for them.

use std::convert::Infallible;

use tokio::time::{Instant, sleep_until};

use super::{Inner, Shared};
use crate::client::calls::Call;

impl Shared {
    /// Gives up each of them at its deadline, as long as the connection is open.
    pub(in crate::client) async fn give_up_late(&self) -> Infallible {
        loop {
            let next = self.lock().next_deadline();
            match next {
                // Later ones have later deadlines.
                Some(deadline) => sleep_until(deadline).await,
                None => self.leaves.notified().await,
            }
            self.lock().give_up(Instant::now());
            self.wake.notify_one();
        }
    }

    /// By when the gateway has to answer a call that leaves a group, or that is to leave it once it has joined.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaves.notify_one();
        Some(Instant::now() + self.options.timeout)
    }
}

impl Inner {
    fn next_deadline(&self) -> Option<Instant> {
        self.calls.values().filter_map(|call| call.deadline).min()
    }

    /// The client may still be in these groups.
    fn give_up(&mut self, now: Instant) {
        let is_late =
            |_: &u64, call: &mut Call| call.deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<_> = self.calls.extract_if(.., is_late).collect();
        for about in late.into_iter().filter_map(|(_, call)| call.about) {
            self.free(&about.group, true);
        }
    }
}
