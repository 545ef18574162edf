//! What tells requests apart for a limit or a cache.

use std::fmt;

/// Requests share one limit: the default of [`Throttle`](super::Throttle) and `RateLimit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Together;

/// The whole request is the key: the default of `Cache`.
#[cfg(feature = "cache")]
#[derive(Debug, Clone, Copy)]
pub struct WholeRequest;

/// The result of a function is the key: what `by` of [`Throttle`](super::Throttle), `RateLimit` and `Cache` makes.
#[derive(Clone, Copy)]
pub struct By<F>(pub(super) F);

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("By").finish_non_exhaustive()
    }
}
