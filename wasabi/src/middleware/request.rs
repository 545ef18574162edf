//! The request middleware that comes with the library.

#[cfg(feature = "cache")]
mod cache;
mod circuit_breaker;
mod error_handler;
mod keyed;
mod measure;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(feature = "retry")]
mod retry;
mod throttle;
mod timeout;
mod trace;

#[cfg(feature = "cache")]
pub use self::cache::Cache;
#[cfg(feature = "rate-limit")]
pub use self::rate_limit::RateLimit;
#[cfg(feature = "retry")]
pub use self::retry::Retry;
pub use self::{
    circuit_breaker::CircuitBreaker,
    error_handler::ErrorHandler,
    measure::{Measure, Measured, Outcome},
    throttle::Throttle,
    timeout::Timeout,
    trace::Trace,
};
