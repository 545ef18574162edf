//! Limits of durations.

use std::time::Duration;

/// The cap on settings that mean "never": 30 years. On some platforms, longer times do not fit into an `Instant`.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
