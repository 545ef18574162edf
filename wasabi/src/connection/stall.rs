//! Stalls: a peer takes too little of what is sent to it.

use std::time::Duration;

use crate::time::Moment;

/// Since when a peer has taken too little; nothing while it takes everything.
#[derive(Default)]
pub(crate) struct Stall(Option<Mark>);

/// The last time at which the peer had taken enough. Progress shows only in large steps, so it is measured at the end of
/// each.
struct Mark {
    at: Moment,
    /// Bytes that the peer had taken by then.
    taken: u64,
}

impl Stall {
    /// The peer has taken everything.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// The peer has taken this many bytes in total, and takes no more now. It has taken enough if it took at least one
    /// byte since the mark, and `min_rate` bytes per second. Reads the clock only if something has changed.
    pub(crate) fn blocked(&mut self, taken: u64, min_rate: u64) {
        let at = match &self.0 {
            Some(mark) if mark.taken == taken => return,
            Some(mark) => {
                let now = Moment::now();
                let least = (now - mark.at).as_millis() as u64 * min_rate / 1000;
                if taken - mark.taken < least.max(1) {
                    return;
                }
                now
            }
            None => Moment::now(),
        };
        self.0 = Some(Mark { at, taken });
    }

    /// When the peer will have taken too little for this long.
    #[inline]
    pub(crate) fn due(&self, limit: Duration) -> Option<Moment> {
        self.0.as_ref().map(|mark| mark.at + limit)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_everything_is_never_due() {
        let mut stall = Stall::default();
        assert_eq!(stall.due(SECOND), None);
        stall.blocked(100, 0);
        assert_eq!(stall.due(SECOND), Some(Moment::now() + SECOND));
        stall.end();
        assert_eq!(stall.due(SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn any_progress_is_enough_without_a_minimum_rate() {
        let mut stall = Stall::default();
        let began = Moment::now();
        stall.blocked(100, 0);
        advance(10 * SECOND).await;
        stall.blocked(100, 0);
        assert_eq!(stall.due(SECOND), Some(began + SECOND));
        stall.blocked(101, 0);
        assert_eq!(stall.due(SECOND), Some(Moment::now() + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_below_the_minimum_rate_is_added_up_and_does_not_end_a_stall() {
        let mut stall = Stall::default();
        let began = Moment::now();
        stall.blocked(0, 1024);
        for second in 1..=9 {
            advance(SECOND).await;
            stall.blocked(second * 1000, 1024);
        }
        assert_eq!(stall.due(SECOND), Some(began + SECOND));
        // The last step makes up for those before it.
        advance(SECOND).await;
        stall.blocked(10 * 1024, 1024);
        assert_eq!(stall.due(SECOND), Some(began + 11 * SECOND));
    }
}
