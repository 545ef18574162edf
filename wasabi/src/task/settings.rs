//! A channel's settings for its connections.

use std::time::Duration;

use crate::connection::{heartbeat::Pings, socket::Limits};

/// A channel's settings for its connections.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) max_header_size: usize,
    pub(crate) concurrency: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) open_timeout: Duration,
    pub(crate) pings: Pings,
    pub(crate) send_timeout: Duration,
    pub(crate) stream_idle_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) max_waiting_messages: usize,
    pub(crate) max_waiting_bytes: usize,
}

impl Settings {
    /// Ensures one slot for a request and room for one message. Without them a connection would stall, and a gateway
    /// may be served without a check of its settings.
    pub(crate) fn at_least_one(mut self) -> Self {
        self.concurrency = self.concurrency.max(1);
        self.max_waiting_messages = self.max_waiting_messages.max(1);
        self
    }
}
