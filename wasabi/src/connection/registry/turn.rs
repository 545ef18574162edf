//! Turns of tasks that deliver to members of groups.

/// What a task has delivered to members since others had their turn.
///
/// A turn ends after several messages, not after several members: in a group of a hundred, each member would get two or
/// three messages with each write to its socket.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    messages: usize,
    bytes: usize,
    members: usize,
}

impl Turn {
    /// Much less than may wait for a member by default.
    const MESSAGES: usize = 32;
    const BYTES: usize = 256 * 1024;
    /// What is put into the queue of each is small.
    const MEMBERS: usize = 4096;

    /// A message of this size was delivered to so many members. At the end of a turn, others have theirs.
    pub(crate) async fn delivered(&mut self, bytes: usize, members: usize) {
        self.messages += 1;
        self.bytes += bytes;
        self.members += members;
        if self.messages >= Self::MESSAGES
            || self.bytes >= Self::BYTES
            || self.members >= Self::MEMBERS
        {
            *self = Self::default();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// After how many messages of this size to so many members a turn ends.
    fn length(bytes: usize, members: usize) -> usize {
        let mut turn = Turn::default();
        let goes_on = |_: &usize| turn.delivered(bytes, members).now_or_never().is_some();
        (1..).take_while(goes_on).count() + 1
    }

    #[tokio::test]
    async fn a_turn_has_many_messages_few_large_ones_and_few_for_crowds() {
        assert_eq!(length(10, 1), 32);
        assert_eq!(length(10, 100), 32);
        assert_eq!(length(100 * 1024, 1), 3);
        assert_eq!(length(10, 1000), 5);
        assert_eq!(length(10, 10_000), 1);
    }
}
