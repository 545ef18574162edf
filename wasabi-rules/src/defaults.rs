//! Defaults of the runtime that the macro compares with what a declaration says.

use std::time::Duration;

/// The longest pause of a `Backoff`.
pub const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How often a `Retry` tries again.
pub const RETRIES: usize = 3;

/// How long an `Http` or a `Queue` waits for a reply.
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request waits for a place of a `Throttle`: longer than most requests take, so that a place usually becomes
/// free, yet short for the waiting client.
pub const THROTTLE_WAIT: Duration = Duration::from_secs(1);
