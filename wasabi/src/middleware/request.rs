//! The request middleware that comes with the library.
//!
//! # The order
//!
//! What comes first in a list is outermost, and a channel's list is around those of its targets. From the outside to the
//! inside, mostly:
//!
//! 1. [`Trace`] and [`Measure`], which see every request with its outcome, those that are refused further inside too.
//! 2. `RateLimit`, which is to count every request.
//! 3. `Cache`, so that what it answers needs nothing of what follows.
//! 4. `Retry`, around what a try consists of.
//! 5. [`CircuitBreaker`], which counts each try, and whose refusals are not tried again.
//! 6. [`Timeout`], the limit of one try. Around the breaker it would be a cancellation, which is not counted.
//!
//! Messages that the parser cannot read go through the lists of the gateway and of the channel as well, on the route
//! `invalid` ([`Request::invalid`](crate::Request::invalid)), and not through those of targets.
//!
//! ```
//! use wasabi::prelude::*;
//!
//! # #[derive(Clone)] struct User { id: u64 }
//! # async fn user_of(token: String) -> Option<Identity<User>> { None }
//! let by_user = RateLimit::per_second(20)
//!     .by(|req| req.connection().identity::<User>().map(|user| user.id));
//! let gateway = gateway!(channel(
//!     "/api",
//!     http = [BearerAuth::new(user_of)],
//!     parser = JsonKey::at("/action").id("/req_id"),
//!     middleware = [Trace::new(), by_user],
//!     match key {
//!         "quote" => with(
//!             [
//!                 // With the cargo feature `cache`: Cache::new(1s).shared(),
//!                 Retry::new(Backoff::exponential(100ms).retries(2)),
//!                 CircuitBreaker::new(5, 10s),
//!                 Timeout::new(1s),
//!             ],
//!             Http::post("http://quotes:8080/"),
//!         ),
//!         "order" => with(
//!             [Retry::new(Backoff::constant(50ms).retries(1)).if_not_sent(), CircuitBreaker::new(5, 10s), Timeout::new(5s)],
//!             Http::post("http://orders:8080/"),
//!         ),
//!         _ => NoRoute,
//!     },
//! ));
//! # drop(gateway);
//! ```

#[cfg(feature = "cache")]
mod cache;
mod circuit_breaker;
mod error_handler;
mod measure;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(feature = "retry")]
mod retry;
mod throttle;
mod timeout;
mod trace;

#[cfg(feature = "cache")]
pub use self::cache::{Cache, CacheKey};
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
