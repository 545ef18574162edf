//! A limit on the number of requests over time.

use std::{fmt, hash::Hash, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use super::key::{By, Together};
use crate::{
    Error, Middleware, Next, Reply, Request, Result,
    digest::{ByDigest, Digest, Secret},
    middleware::full_at::FullAt,
    mistakes::Mistakes,
};

/// Lets a number of requests through per second, minute or hour, and answers further ones `rate_limited`, with the time
/// until the next one will pass.
///
/// The allowance fills up evenly (GCRA, a token bucket): with `per_minute(60)` 60 requests may come at once, then one
/// per second. There is no window at whose edge twice as many could pass: in any period at most the
/// [`burst`](Self::burst) and the refill of that period pass. Refused requests cost nothing. A limit of 0 lets nothing
/// through.
///
/// Everything that the value wraps shares one limit. Clones share it too, so a group of routes can have a common limit.
/// [`by`](Self::by) gives each client, user or other key its own.
///
/// ```
/// use std::time::Duration;
/// use wasabi::prelude::*;
///
/// async fn trade(text: Text) -> Text {
///     text
/// }
///
/// let trades = RateLimit::per_minute(2).by(|req| req.connection().id());
/// let gateway = gateway!(channel(
///     "/",
///     middleware = [RateLimit::per_second(10_000)],
///     match key {
///         "buy" => with([trades.clone()], trade),
///         "sell" => with([trades], trade),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
pub struct RateLimit<K = Together> {
    /// `None` lets nothing through.
    quota: Option<Quota>,
    max_keys: usize,
    key: Arc<K>,
    limiter: Option<Arc<Limiter>>,
    mistakes: Mistakes,
}

/// What is left of the limit, in all or by key. Clones of a rate limit share it.
struct Limiter {
    together: RateLimiter<NotKeyed, InMemoryState, SinceStart, NoOpMiddleware<Duration>>,
    by_key: RateLimiter<Digest, FullAt<Digest, ByDigest>, SinceStart, NoOpMiddleware<Duration>>,
    /// Of a key, only its digest is kept.
    secret: Secret,
}

impl RateLimit {
    /// Lets this many requests through per second.
    pub fn per_second(requests: u32) -> Self {
        Self::of(NonZeroU32::new(requests).map(Quota::per_second))
    }

    /// Lets this many requests through per minute.
    pub fn per_minute(requests: u32) -> Self {
        Self::of(NonZeroU32::new(requests).map(Quota::per_minute))
    }

    /// Lets this many requests through per hour.
    pub fn per_hour(requests: u32) -> Self {
        Self::of(NonZeroU32::new(requests).map(Quota::per_hour))
    }

    fn of(quota: Option<Quota>) -> Self {
        Self {
            quota,
            max_keys: 65_536,
            key: Arc::new(Together),
            limiter: None,
            mistakes: Mistakes::default(),
        }
        .with_full_allowance()
    }
}

impl Limiter {
    fn new(quota: Quota, max_keys: usize) -> Self {
        let clock = SinceStart(Instant::now());
        Self {
            together: RateLimiter::direct_with_clock(quota, clock.clone()),
            by_key: RateLimiter::new(quota, FullAt::new(max_keys), clock),
            secret: Secret::new(),
        }
    }
}

impl<K> RateLimit<K> {
    /// How many requests may come at once; by default as many as per second, minute or hour. 0 lets nothing through.
    #[must_use]
    pub fn burst(mut self, requests: u32) -> Self {
        let burst = NonZeroU32::new(requests);
        let quota = self.quota.zip(burst);
        self.quota = quota.map(|(quota, burst)| quota.allow_burst(burst));
        self.with_full_allowance()
    }

    /// About how many keys are remembered; 65 536 by default, which takes at most 4 MiB: a key of any size takes 24
    /// bytes. Beyond that, keys with most of their allowance left are forgotten, and so get all of it back.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = self.mistakes.above_zero("RateLimit::max_keys", keys);
        self.with_full_allowance()
    }

    fn with_full_allowance(self) -> Self {
        let limiter = self.quota.map(|quota| Limiter::new(quota, self.max_keys));
        Self {
            limiter: limiter.map(Arc::new),
            ..self
        }
    }
}

impl RateLimit {
    /// Limits each value of this function separately. Of a value, the limiter stores a 16-byte digest, computed with a
    /// secret.
    ///
    /// By client identity, whatever connections the client has; all unauthenticated clients share one limit:
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// # async fn user_of(token: String) -> Option<Identity<User>> { None }
    /// let by_user = RateLimit::per_minute(60)
    ///     .by(|req| req.connection().identity::<User>().map(|user| user.id));
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     http = [BearerAuth::new(user_of)],
    ///     middleware = [by_user],
    ///     async |text: Text| text,
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn by<Q, F>(self, key: F) -> RateLimit<By<F>>
    where
        Q: Hash,
        F: Fn(&Request) -> Q + Send + Sync,
    {
        RateLimit {
            quota: self.quota,
            max_keys: self.max_keys,
            key: Arc::new(By(key)),
            limiter: None,
            mistakes: self.mistakes,
        }
        .with_full_allowance()
    }
}

impl Middleware for RateLimit {
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let limiter = &self.limiter.as_ref().ok_or(NOTHING_PASSES)?.together;
        limiter
            .check()
            .map_err(|until| refusal(&until, limiter.clock()))?;
        next.run(req).await
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["rate_limited"])
    }
}

impl<Q, F> Middleware for RateLimit<By<F>>
where
    Q: Hash,
    F: Fn(&Request) -> Q + Send + Sync,
{
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let By(key) = &*self.key;
        let Limiter { by_key, secret, .. } = &**self.limiter.as_ref().ok_or(NOTHING_PASSES)?;
        let checked = by_key.check_key(&secret.digest(&key(&req)));
        checked.map_err(|until| refusal(&until, by_key.clock()))?;
        next.run(req).await
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["rate_limited"])
    }
}

const NOTHING_PASSES: Error = Error::RateLimited { retry_after: None };

fn refusal(until: &NotUntil<Duration>, clock: &SinceStart) -> Error {
    Error::RateLimited {
        retry_after: Some(until.wait_time_from(clock.now())),
    }
}

/// Tokio's clock, which tests can pause.
#[derive(Clone)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl<K> Clone for RateLimit<K> {
    /// The clone shares the limit.
    fn clone(&self) -> Self {
        Self {
            quota: self.quota,
            max_keys: self.max_keys,
            key: Arc::clone(&self.key),
            limiter: self.limiter.clone(),
            mistakes: self.mistakes.clone(),
        }
    }
}

impl<K> fmt::Debug for RateLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
