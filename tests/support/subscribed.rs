//! What one thread tells, while tests run in others.

use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, NoSubscriber, set_default},
};

/// While it lives, a subscriber is told what this thread does.
pub struct Subscribed {
    _second: Dispatch,
    _guard: DefaultGuard,
}

impl Subscribed {
    /// From now on.
    pub fn new(subscriber: impl Subscriber + Send + Sync) -> Self {
        Self {
            // With one subscriber in the whole process, tracing asks that of the thread in which an event comes up for the
            // first time; in a thread without one it would be off for all.
            _second: Dispatch::new(NoSubscriber::default()),
            _guard: set_default(subscriber),
        }
    }
}
