//! Retries after a failure.

use std::{fmt, sync::Arc, time::Duration};

use tower::retry::budget::{Budget, TpsBudget};

use crate::{
    Backoff, Error, Middleware, Next, Reply, Request, Resend, Result, log::said, mistakes::Mistakes,
};

/// Runs the rest of the chain again when it fails, after a pause.
///
/// The number in the [`Backoff`] counts *retries*: 0 is one try without a retry; 3, the default, is up to four tries.
/// The last error goes on outwards, without a pause before it.
///
/// * **What is retried:** failures of the upstream that may not recur ([`Error::is_transient`]): it cannot be reached,
///   breaks off, does not answer in time, or answers with a status from 500 to 599, or with 429 and `Retry-After`.
///   [`when`](Self::when) replaces this rule. The upstream may have carried out the request before it failed: for what
///   must not happen twice, such as an order, use [`if_not_sent`](Self::if_not_sent).
/// * **Pauses** are those of the backoff. If the error says when to come back ([`Error::retry_after`]), the pause
///   starts after that time. If that time is longer than [`max_retry_after`](Self::max_retry_after), there is no retry,
///   and the client receives the time.
/// * **The budget** keeps retries from multiplying the load on an upstream that is down: over the last 10 seconds it
///   allows at most 20 retries per 100 requests, on top of 10 per second that are always allowed. See
///   [`budget`](Self::budget). Everything that the value or a clone of it wraps shares the budget.
/// * **Order:** around a [`Timeout`](super::Timeout) each try has that long, inside one all tries together.
/// * A streaming reply counts as a success once it has started.
///
/// ```
/// use std::time::Duration;
/// use wasabi::{Backoff, Error, middleware::request::Retry};
///
/// let patient = Retry::new(
///     Backoff::exponential(Duration::from_millis(100)).max_pause(Duration::from_secs(2)),
/// );
/// let once = Backoff::constant(Duration::from_millis(50)).retries(1);
/// let orders = Retry::new(once.clone()).if_not_sent();
/// let choosy = Retry::new(once)
///     .when(|error: &Error| error.code() == "try_again");
/// ```
#[derive(Clone)]
pub struct Retry<P = fn(&Error) -> bool> {
    backoff: Backoff,
    max_retry_after: Duration,
    when: P,
    budget: Option<Arc<TpsBudget>>,
    mistakes: Mistakes,
}

impl Retry {
    /// Retries as often as the backoff says, three times by default, with its pauses in between.
    pub fn new(backoff: Backoff) -> Self {
        Self {
            mistakes: backoff.mistakes().clone(),
            backoff: backoff.or_retries(wasabi_rules::RETRIES),
            max_retry_after: Duration::from_secs(10),
            when: Error::is_transient,
            budget: Some(budget(0.2)),
        }
    }
}

impl<P> Retry<P> {
    /// The longest `Retry-After` that is waited for, 10 s by default. A request that would have to wait longer fails at
    /// once, because it would only occupy its place.
    #[must_use]
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// Retries the errors that this function selects, instead of transient failures of the upstream.
    #[must_use]
    pub fn when<Q: Fn(&Error) -> bool + Send + Sync>(self, predicate: Q) -> Retry<Q> {
        Retry {
            when: predicate,
            backoff: self.backoff,
            max_retry_after: self.max_retry_after,
            budget: self.budget,
            mistakes: self.mistakes,
        }
    }

    /// Retries only if the upstream has not seen the request, because no connection to it was established: for requests
    /// that must not be carried out twice.
    #[must_use]
    pub fn if_not_sent(self) -> Retry {
        self.when(was_not_sent as fn(&Error) -> bool)
    }

    /// How many retries are allowed per request over the last 10 seconds, 0.2 by default, in addition to 10 per second
    /// that are always allowed. From 0 to 1000; anything else is a mistake.
    #[must_use]
    pub fn budget(mut self, retries_per_request: f32) -> Self {
        let share = wasabi_rules::retry_budget(retries_per_request);
        self.budget = Some(budget(self.mistakes.keep(share).unwrap_or_default()));
        self
    }

    /// Removes the budget. An upstream that is down then gets a multiple of the load.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }
}

fn was_not_sent(error: &Error) -> bool {
    error.is_transient() && error.resend() == Resend::Safe
}

fn budget(retries_per_request: f32) -> Arc<TpsBudget> {
    Arc::new(TpsBudget::new(
        Duration::from_secs(10),
        10,
        retries_per_request,
    ))
}

impl<P: Fn(&Error) -> bool + Send + Sync> Middleware for Retry<P> {
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let is_invalid = req.invalid().is_some();
        if let Some(budget) = &self.budget
            && !is_invalid
        {
            budget.deposit();
        }
        let mut pauses = None;
        loop {
            let error = match next.run(req.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let retry_after = error.retry_after().unwrap_or_default();
            if is_invalid || !(self.when)(&error) || retry_after > self.max_retry_after {
                return Err(error);
            }
            let Some(pause) = pauses.get_or_insert_with(|| self.backoff.pauses()).next() else {
                return Err(error);
            };
            if self
                .budget
                .as_ref()
                .is_some_and(|budget| !budget.withdraw())
            {
                tracing::debug!(route = req.route(), error = %said(&error), "no retry: the budget is used up");
                return Err(error);
            }
            let pause = retry_after.saturating_add(pause);
            tracing::debug!(route = req.route(), error = %said(&error), ?pause, "retry");
            tokio::time::sleep(pause).await;
        }
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&[])
    }
}

impl<P> fmt::Debug for Retry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http::StatusCode;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        Backend,
        middleware::{Stack, request::Timeout},
        testing::{backend, request},
    };

    const MS: Duration = Duration::from_millis(1);

    fn status(code: u16) -> Error {
        Error::upstream_status(StatusCode::from_u16(code).expect("a status"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_retried_until_it_succeeds() {
        let inner = backend(async |nth, _| match nth {
            0 | 1 => Err(status(500)),
            _ => Ok(Reply::message("done")),
        });
        let chain = Stack::new(
            Retry::new(Backoff::exponential(100 * MS).retries(3)),
            inner.clone(),
        );
        let reply = chain.call(request("k", ""), &()).await.expect("a reply");
        assert_eq!(reply.as_messages(), ["done".into()]);
        assert_eq!(inner.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_retries_are_one_try() {
        let inner = backend(async |_, _| Ok(Reply::message("done")));
        let chain = Stack::new(
            Retry::new(Backoff::exponential(100 * MS).retries(0)),
            inner.clone(),
        );
        assert!(chain.call(request("k", ""), &()).await.is_ok());
        assert_eq!(inner.count(), 1);

        let inner = backend(async |_, _| Err(status(503)));
        let chain = Stack::new(
            Retry::new(Backoff::constant(100 * MS).retries(0)),
            inner.clone(),
        );
        let error = chain
            .call(request("k", ""), &())
            .await
            .expect_err("an error");
        assert_eq!((error.code(), inner.count()), ("upstream_status", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_pause_after_the_last_try() {
        let started = Instant::now();
        let last = std::sync::Mutex::new(None);
        let inner = backend(async |_, _| {
            *last.lock().expect("not poisoned") = Some(Instant::now());
            Err(status(502))
        });
        let chain = Stack::new(
            Retry::new(Backoff::constant(100 * MS).retries(2)),
            inner.clone(),
        );
        assert!(chain.call(request("k", ""), &()).await.is_err());
        assert_eq!(inner.count(), 3);
        assert_eq!(*last.lock().expect("not poisoned"), Some(Instant::now()));
        assert!((100 * MS..=205 * MS).contains(&started.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_around_a_timeout_retries_what_timed_out() {
        let inner = backend(async |nth, _| match nth {
            0 | 1 => pending().await,
            _ => Ok(Reply::message("done")),
        });
        let limited = Stack::new(Timeout::new(1000 * MS), inner.clone());
        let chain = Stack::new(
            Retry::new(Backoff::exponential(100 * MS).retries(2)),
            limited,
        );
        assert!(chain.call(request("k", ""), &()).await.is_ok());
        assert_eq!(inner.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn only_transient_failures_of_the_upstream_are_retried() {
        for (error, tries) in [
            (Error::bad_request("no"), 1),
            (Error::internal("no"), 1),
            (Error::BreakerOpen, 1),
            (Error::RateLimited { retry_after: None }, 1),
            (status(404), 1),
            (status(504), 2),
            (Error::TimedOut(MS), 2),
            (Error::UpstreamUnreachable("no".into()), 2),
        ] {
            let error = std::sync::Mutex::new(Some(error));
            let inner = backend(
                async |_, _| match error.lock().expect("not poisoned").take() {
                    Some(error) => Err(error),
                    None => Ok(Reply::none()),
                },
            );
            let chain = Stack::new(Retry::new(Backoff::constant(MS).retries(1)), inner.clone());
            let outcome = chain.call(request("k", ""), &()).await;
            assert_eq!(inner.count(), tries, "{outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_of_an_upstream_is_respected() {
        for (seconds, tries) in [(3, 2), (10, 2), (11, 1)] {
            let after = Duration::from_secs(seconds);
            let inner = backend(async |nth, _| match nth {
                0 => Err(Error::UpstreamStatus {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    retry_after: Some(after),
                    seen: true,
                }),
                _ => Ok(Reply::none()),
            });
            let chain = Stack::new(
                Retry::new(Backoff::constant(100 * MS).retries(3)),
                inner.clone(),
            );
            let started = Instant::now();
            let outcome = chain.call(request("k", ""), &()).await;
            assert_eq!((outcome.is_ok(), inner.count()), (tries == 2, tries));
            let waited = started.elapsed();
            match tries {
                1 => assert_eq!(waited, Duration::ZERO),
                _ => assert!(waited > after && waited < after + 200 * MS, "{waited:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endless_pauses_are_valid() {
        for retry in [
            Retry::new(Backoff::exponential(Duration::MAX).retries(3)),
            Retry::new(Backoff::constant(Duration::MAX).retries(3)),
            Retry::new(Backoff::exponential(MS).max_pause(Duration::MAX)),
        ] {
            let inner = backend(async |_, _| Err(status(503)));
            let chain = Stack::new(retry, inner.clone());
            let asked = chain.call(request("k", ""), &());
            let _ = tokio::time::timeout(Duration::from_secs(60), asked).await;
            assert!([1, 4].contains(&inner.count()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_predicate_decides_instead() {
        let inner = backend(async |_, _| Err(Error::new("busy", "come back")));
        let retry =
            Retry::new(Backoff::constant(MS).retries(2)).when(|error| error.code() == "busy");
        let chain = Stack::new(retry, inner.clone());
        assert!(chain.call(request("k", ""), &()).await.is_err());
        assert_eq!(inner.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_must_not_run_twice_is_retried_only_if_unsent() {
        for (nth_error, tries) in [(0, 2), (1, 1), (2, 1), (3, 1)] {
            let inner = backend(async |_, _| {
                Err(match nth_error {
                    0 => Error::UpstreamUnreachable("refused".into()),
                    1 => Error::UpstreamLost("reset".into()),
                    2 => Error::TimedOut(MS),
                    _ => status(503),
                })
            });
            let chain = Stack::new(
                Retry::new(Backoff::constant(MS).retries(1)).if_not_sent(),
                inner.clone(),
            );
            assert!(chain.call(request("k", ""), &()).await.is_err());
            assert_eq!(inner.count(), tries, "error {nth_error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_bounds_the_retries_of_all_requests_together() {
        let inner = backend(async |_, _| Err(status(503)));
        let chain = Stack::new(
            Retry::new(Backoff::constant(MS).retries(3)).budget(0.5),
            inner.clone(),
        );
        for _ in 0..1000 {
            assert!(chain.call(request("k", ""), &()).await.is_err());
        }
        // Half as many as there are requests, plus 10 per second over the 10 seconds of the budget.
        let retries = inner.count() - 1000;
        assert!((400..=600).contains(&retries), "{retries} retries");
    }
}
