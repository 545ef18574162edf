use futures_util::FutureExt;
use tokio::time::advance;

use super::*;
use crate::{
    Backend,
    middleware::Stack,
    testing::{backend, request},
};

/// How many of these requests pass at this moment.
fn pass(chain: &impl Backend, key: &'static str, requests: usize) -> usize {
    let replies = (0..requests).map(|_| {
        let outcome = chain.call(request(key, ""), &()).now_or_never();
        outcome.expect("nothing waits").is_ok()
    });
    replies.filter(|ok| *ok).count()
}

fn done() -> Arc<impl Backend> {
    backend(async |_, _| Ok(Reply::none()))
}

#[tokio::test(start_paused = true)]
async fn the_allowance_is_used_up_and_fills_up_evenly() {
    let chain = Stack::new(RateLimit::per_minute(60), done());
    assert_eq!(pass(&chain, "k", 100), 60);
    advance(Duration::from_secs(3)).await;
    assert_eq!(pass(&chain, "k", 100), 3);
    advance(Duration::from_secs(600)).await;
    assert_eq!(pass(&chain, "k", 100), 60);
}

#[tokio::test(start_paused = true)]
async fn no_window_edge_lets_twice_as_many_pass() {
    let chain = Stack::new(RateLimit::per_second(10), done());
    advance(Duration::from_millis(990)).await;
    assert_eq!(pass(&chain, "k", 100), 10);
    advance(Duration::from_millis(20)).await;
    assert_eq!(pass(&chain, "k", 100), 0);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_what_may_come_at_once() {
    let chain = Stack::new(RateLimit::per_second(10).burst(3), done());
    assert_eq!(pass(&chain, "k", 100), 3);
    advance(Duration::from_millis(100)).await;
    assert_eq!(pass(&chain, "k", 100), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_lets_nothing_through() {
    assert_eq!(
        pass(&Stack::new(RateLimit::per_second(0), done()), "k", 5),
        0
    );
    assert_eq!(
        pass(
            &Stack::new(RateLimit::per_second(5).burst(0), done()),
            "k",
            5
        ),
        0
    );
    let keyed = RateLimit::per_minute(0).by(|req| req.key().to_owned());
    assert_eq!(pass(&Stack::new(keyed, done()), "k", 5), 0);
}

#[tokio::test(start_paused = true)]
async fn the_refusal_says_when_the_next_request_will_pass() {
    let chain = Stack::new(RateLimit::per_minute(2), done());
    assert_eq!(pass(&chain, "k", 2), 2);
    advance(Duration::from_secs(10)).await;
    let error = chain
        .call(request("k", ""), &())
        .await
        .expect_err("refused");
    assert_eq!(error.code(), "rate_limited");
    let after = error.retry_after().expect("a time");
    assert_eq!(after, Duration::from_secs(20));
    advance(after).await;
    assert_eq!(pass(&chain, "k", 2), 1);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_allowance_and_clones_share_it() {
    let limit = RateLimit::per_minute(2).by(|req| req.key().to_owned());
    let (buy, sell) = (Stack::new(limit.clone(), done()), Stack::new(limit, done()));
    assert_eq!(pass(&buy, "alice", 1), 1);
    assert_eq!(pass(&sell, "alice", 5), 1);
    assert_eq!(pass(&buy, "alice", 5), 0);
    assert_eq!(pass(&buy, "bob", 5), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_and_the_other_settings_come_in_any_order() {
    let limit = || RateLimit::per_minute(5);
    let key = |req: &Request| req.key().to_owned();
    for limit in [
        limit().by(key).burst(2).max_keys(100),
        limit().burst(2).max_keys(100).by(key),
    ] {
        let chain = Stack::new(limit, done());
        assert_eq!(pass(&chain, "alice", 5), 2);
        assert_eq!(pass(&chain, "bob", 5), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_remembered_keys_is_bounded_and_busy_keys_are_kept() {
    let limit = RateLimit::per_minute(10)
        .max_keys(160)
        .by(|req| req.payload());
    let chain = Stack::new(limit.clone(), done());
    let ask = async |text: &str| chain.call(request("k", text), &()).await.is_ok();
    for _ in 0..10 {
        assert!(ask("busy").await);
    }
    for n in 0..10_000 {
        assert!(ask(&n.to_string()).await);
    }
    assert!(!ask("busy").await);
    drop(chain);
    let limiter = limit
        .limiter
        .and_then(Arc::into_inner)
        .expect("the only one");
    assert!(limiter.by_key.into_state_store().len() <= 160);
}
