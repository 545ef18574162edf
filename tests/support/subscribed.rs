//! A tracing subscriber for one thread, while tests run in others.

use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, NoSubscriber, set_default},
};

/// While this value lives, a subscriber receives what this thread emits.
pub struct Subscribed {
    _second: Dispatch,
    _guard: DefaultGuard,
}

impl Subscribed {
    /// Starts now.
    pub fn new(subscriber: impl Subscriber + Send + Sync) -> Self {
        Self {
            // If the process has only one subscriber, tracing asks the thread in which an event first occurs whether it
            // is enabled; a thread without a subscriber would disable it for all.
            _second: Dispatch::new(NoSubscriber::default()),
            _guard: set_default(subscriber),
        }
    }
}
