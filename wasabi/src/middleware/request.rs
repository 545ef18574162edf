//! The request middleware that ships with the library.
//!
//! # The order
//!
//! The first entry of a list is outermost, and a channel's list wraps those of its targets. The usual order, from the
//! outside in:
//!
//! 1. [`Trace`] and [`Measure`], which see every request with its outcome, including those refused further inside.
//! 2. `RateLimit`, which must count every request.
//! 3. `Cache`, so that its answers need nothing of what follows.
//! 4. `Retry`, around everything that belongs to a try.
//! 5. [`CircuitBreaker`], which counts each try; its refusals are not retried.
//! 6. [`Timeout`], the limit of one try. Around the breaker it would cancel the request, and the breaker does not count
//!    cancellations.
//!
//! `gateway!` warns about orders that do something else than intended; the chapter on middleware of the guide lists
//! them.
//!
//! Messages that the parser cannot read also pass through the lists of the gateway and of the channel, on the route
//! `invalid` ([`Request::invalid`](crate::Request::invalid)), but not through those of targets.
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
pub(crate) mod key;
pub(crate) mod measure;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(feature = "retry")]
mod retry;
#[cfg(all(test, feature = "cache", feature = "rate-limit", feature = "retry"))]
mod tests;
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
