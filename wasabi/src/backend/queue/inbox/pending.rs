//! A request that waits for its reply.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::parts::Parts;
use crate::{Message, Result};

/// A request that waits for its reply, or for the rest of it.
pub(super) struct Pending {
    to: To,
    /// The number of the next part.
    pub(super) next: u64,
    pub(super) max_size: usize,
}

/// The state of a reply.
enum To {
    /// Nothing has arrived yet.
    Waiting(oneshot::Sender<Result<Answer>>),
    /// The first part has arrived.
    Parts(Arc<Parts>),
}

/// The first thing to arrive of a reply.
pub(in super::super) enum Answer {
    Whole(Message),
    Parts(Arc<Parts>),
}

impl Pending {
    /// A request that waits for a reply of at most `max_size` bytes.
    pub(super) fn new(to: oneshot::Sender<Result<Answer>>, max_size: usize) -> Self {
        Self {
            to: To::Waiting(to),
            next: 1,
            max_size,
        }
    }

    /// Returns `false` if the request no longer waits.
    pub(super) fn end(self, last: Result<Message>) -> bool {
        match self.to {
            To::Waiting(to) => to.send(last.map(Answer::Whole)).is_ok(),
            To::Parts(parts) => {
                parts.end(last);
                true
            }
        }
    }

    /// Returns `false` if the request no longer waits, or the part does not fit.
    pub(super) fn add(&mut self, message: Message) -> bool {
        self.next += 1;
        match &self.to {
            To::Parts(parts) => parts.add(message, self.max_size),
            To::Waiting(_) => {
                let parts = Arc::new(Parts::default());
                let fits = parts.add(message, self.max_size);
                let to = To::Parts(Arc::clone(&parts));
                match std::mem::replace(&mut self.to, to) {
                    To::Waiting(to) => fits && to.send(Ok(Answer::Parts(parts))).is_ok(),
                    To::Parts(_) => false,
                }
            }
        }
    }
}
