//! A limit on how long a request may take.

use std::time::Duration;

use crate::{Error, Middleware, Next, Reply, Request, Result};

/// Cancels a request that takes longer than a limit, and answers `timed_out`.
///
/// It covers everything inside: around a retry all tries together, inside one each try. A streaming reply only has to
/// start in time.
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// Creates a timeout with this limit.
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

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["timed_out"])
    }
}
