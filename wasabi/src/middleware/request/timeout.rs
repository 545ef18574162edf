//! A limit on how long a request may take.

use std::time::Duration;

use crate::{Error, Middleware, Next, Reply, Request, Result};

/// Cancels a request that takes longer than this and answers `timed_out`.
///
/// It covers everything inside: around a retry the tries together, inside of one each of them. A streaming
/// reply is in time when it has started.
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// A limit of this length.
    pub const fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl Middleware for Timeout {
    fn check(&self) -> Result<(), String> {
        wasabi_rules::above_zero("Timeout::new", self.0).map(drop)
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        match tokio::time::timeout(self.0, next.run(req)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut(self.0)),
        }
    }
}
