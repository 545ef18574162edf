//! What times have in common.

use std::time::Duration;

/// What a setting that means "never" is cut to: 30 years. Longer times do not fit into an `Instant` everywhere.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
