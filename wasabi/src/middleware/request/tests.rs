//! What the orders do that `gateway!` warns about (`wasabi_rules::REQUEST_ORDER`).

use std::{future::pending, time::Duration};

use http::StatusCode;

use super::{Cache, CircuitBreaker, ErrorHandler, RateLimit, Retry, Timeout};
use crate::{
    Backend, Backoff, Error, Reply, Request, Result,
    middleware::Stack,
    testing::{backend, request},
};

const SECOND: Duration = Duration::from_secs(1);

fn failed() -> Error {
    Error::upstream_status(StatusCode::BAD_GATEWAY)
}

fn retry() -> Retry {
    Retry::new(Backoff::constant(SECOND).retries(2))
}

fn handler() -> ErrorHandler<impl Fn(&Request, Error) -> &'static str> {
    ErrorHandler::new(|_: &Request, _: Error| "sorry")
}

async fn ask(chain: &impl Backend, text: &str) -> &'static str {
    match chain.call(request("k", text), &()).await {
        Ok(_) => "ok",
        Err(Error::TimedOut(_)) => "timed_out",
        Err(Error::BreakerOpen) => "breaker_open",
        Err(Error::RateLimited { .. }) => "rate_limited",
        Err(_) => "failed",
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_inside_a_timeout_never_opens() {
    let inner = backend(async |_, _| pending::<Result>().await);
    let breaker = Stack::new(CircuitBreaker::new(1, SECOND), inner.clone());
    let chain = Stack::new(Timeout::new(SECOND), breaker);
    for _ in 0..10 {
        assert_eq!(ask(&chain, "").await, "timed_out");
    }
    assert_eq!(inner.count(), 10);
}

#[tokio::test(start_paused = true)]
async fn replies_of_a_cache_keep_the_breaker_around_it_closed_and_an_open_one_refuses_them() {
    let inner = backend(async |_, req: Request| match req.message().as_text() {
        Some("stored") => Ok(Reply::message("reply")),
        _ => Err(failed()),
    });
    let cache = Stack::new(Cache::new(SECOND), inner.clone());
    let chain = Stack::new(CircuitBreaker::new(2, SECOND), cache);
    for text in ["stored", "fail", "stored", "fail", "stored", "fail"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
    assert_eq!(
        inner.count(),
        4,
        "the second and third reply are stored ones"
    );
    assert_eq!(ask(&chain, "fail").await, "failed");
    assert_eq!(ask(&chain, "stored").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_every_error_hides_them_from_what_is_around_it() {
    let inner = backend(async |_, _| Err(failed()));
    let chain = Stack::new(retry(), Stack::new(handler(), inner.clone()));
    assert_eq!(ask(&chain, "").await, "ok");
    assert_eq!(inner.count(), 1, "not tried again");

    let inner = backend(async |_, _| Err(failed()));
    let handled = Stack::new(handler(), inner.clone());
    let chain = Stack::new(CircuitBreaker::new(1, SECOND), handled);
    for _ in 0..10 {
        assert_eq!(ask(&chain, "").await, "ok");
    }
    assert_eq!(inner.count(), 10, "the breaker stays closed");

    let inner = backend(async |_, _| Err(failed()));
    let chain = Stack::new(Cache::new(SECOND), Stack::new(handler(), inner.clone()));
    for _ in 0..10 {
        assert_eq!(ask(&chain, "").await, "ok");
    }
    assert_eq!(
        inner.count(),
        1,
        "the cache stores what was made of the error"
    );
}

#[tokio::test(start_paused = true)]
async fn retries_inside_retries_multiply() {
    let inner = backend(async |_, _| Err(failed()));
    let chain = Stack::new(retry(), Stack::new(retry(), inner.clone()));
    assert_eq!(ask(&chain, "").await, "failed");
    assert_eq!(inner.count(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_limit_uses_up_the_limit_of_all_before_it() {
    let of_each = RateLimit::per_hour(1).by(|req| req.message().as_text().map(str::to_owned));
    let inner = backend(async |_, _| Ok(Reply::none()));
    let all_first = Stack::new(
        RateLimit::per_hour(3),
        Stack::new(of_each.clone(), inner.clone()),
    );
    for _ in 0..3 {
        ask(&all_first, "greedy").await;
    }
    assert_eq!(ask(&all_first, "other").await, "rate_limited");

    let each_first = Stack::new(of_each, Stack::new(RateLimit::per_hour(3), inner));
    for _ in 0..3 {
        ask(&each_first, "greedy").await;
    }
    assert_eq!(ask(&each_first, "other").await, "ok");
}
