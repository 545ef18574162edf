//! Replies that were dropped, counted by reason.

/// The number of dropped replies of a queue, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DroppedReplies {
    /// Replies that no request waits for: the request has been answered already, has timed out, or its client has
    /// disconnected. Also parts that arrive twice.
    pub unmatched: u64,
    /// Replies that are not for this queue: the correlation id belongs to another gateway, or is missing or invalid.
    pub foreign: u64,
    /// Replies longer than the [`max_reply_size`](crate::Queue::max_reply_size), and parts that do not fit while their
    /// client takes none. Their requests have failed.
    pub too_large: u64,
    /// Replies that cannot be read at all, so that their requests are unknown: the broker's data is not a reply, or
    /// something else is stored where the replies should be. Their requests time out.
    pub malformed: u64,
}

impl DroppedReplies {
    /// The counts with the names of their reasons in the metrics.
    #[cfg(feature = "metrics")]
    pub(in super::super) fn by_reason(self) -> [(&'static str, u64); 4] {
        [
            ("unmatched", self.unmatched),
            ("foreign", self.foreign),
            ("too_large", self.too_large),
            ("malformed", self.malformed),
        ]
    }
}
