//! The flow to the client: what it has not taken yet, and since when it takes too little.

use std::time::Duration;

use crate::{connection::stall::Stall, time::Moment};

/// The minimum rate, in bytes per second, at which a client must take data. Otherwise a client that takes a byte now
/// and then would hold its waiting data for ever.
const MIN_RATE: u64 = 1024;

/// The data on its way to the client.
#[derive(Default)]
pub(super) struct Flow {
    /// Bytes handed to the socket since it was last flushed completely.
    unsent: usize,
    stall: Stall,
    /// The last published number of bytes that wait for the client.
    waiting: usize,
}

impl Flow {
    /// Bytes have been handed to the socket.
    #[inline(always)]
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.unsent += bytes;
    }

    #[inline]
    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// The client has taken everything that was handed to the socket; replies of `held` bytes still wait. Returns the
    /// number of waiting bytes if it must be published.
    #[inline]
    pub(super) fn flushed(&mut self, held: usize) -> Option<usize> {
        self.unsent = 0;
        self.stall.end();
        match self.waiting {
            0 => None,
            _ => self.wait_for(held),
        }
    }

    /// The client has taken this many bytes in total, and takes no more now. Returns the number of waiting bytes if it
    /// must be published.
    pub(super) fn blocked(&mut self, taken: u64, held: usize) -> Option<usize> {
        self.stall.blocked(taken, MIN_RATE);
        self.wait_for(self.unsent + held)
    }

    #[inline]
    fn wait_for(&mut self, bytes: usize) -> Option<usize> {
        let is_new = bytes != self.waiting;
        self.waiting = bytes;
        is_new.then_some(bytes)
    }

    /// When the client is closed, unless it takes more.
    #[inline]
    pub(super) fn due(&self, send_timeout: Duration) -> Option<Moment> {
        self.stall.due(send_timeout)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_is_blocked_can_be_too_slow() {
        let mut flow = Flow::default();
        flow.wrote(1_000_000);
        assert_eq!((flow.unsent(), flow.due(SECOND)), (1_000_000, None));
        let _ = flow.blocked(300, 0);
        assert_eq!(flow.due(SECOND), Some(Moment::now() + SECOND));
        let _ = flow.flushed(0);
        assert_eq!((flow.unsent(), flow.due(SECOND)), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_kilobyte_a_second_may_be_blocked_for_ever() {
        let mut flow = Flow::default();
        let mut taken = 0;
        for _ in 0..1000 {
            let _ = flow.blocked(taken, 0);
            assert!(flow.due(10 * SECOND) > Some(Moment::now()));
            advance(8 * SECOND).await;
            taken += 8 * 1024;
        }
        let began = Moment::now();
        let _ = flow.blocked(taken, 0);
        for _ in 0..10 {
            advance(SECOND).await;
            taken += 1023;
            let _ = flow.blocked(taken, 0);
        }
        assert_eq!(flow.due(10 * SECOND), Some(began + 10 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_waiting_bytes_is_published_when_it_changes() {
        let mut flow = Flow::default();
        flow.wrote(10);
        assert_eq!(flow.flushed(0), None);
        flow.wrote(10);
        assert_eq!(flow.blocked(5, 0), Some(10));
        assert_eq!(flow.blocked(6, 0), None);
        assert_eq!(flow.blocked(6, 90), Some(100));
        assert_eq!(flow.flushed(90), Some(90));
        assert_eq!(flow.flushed(0), Some(0));
        assert_eq!(flow.flushed(0), None);
    }
}
