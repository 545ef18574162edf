use std::future::pending;

use futures_util::FutureExt;
use http::StatusCode;
use tokio::time::advance;

use super::*;
use crate::{
    Backend,
    middleware::{Stack, request::Timeout},
    request::Route,
    testing::{Calls, backend, request},
};

const PAUSE: Duration = Duration::from_secs(10);

/// Does what the text of the request says.
fn obedient()
-> Arc<Calls<impl Fn(usize, Request) -> futures_util::future::BoxFuture<'static, Result>>> {
    backend(|_, req: Request| {
        async move {
            match req.message().as_text() {
                Some("ok") => Ok(Reply::none()),
                Some("hang") => pending().await,
                Some("unknown") => Err(Error::upstream_status(StatusCode::NOT_FOUND)),
                Some("bad") => Err(Error::bad_request("no")),
                Some("full") => Err(Error::Overloaded),
                Some("invalid") => Err(Error::UpstreamInvalid("no HTTP".into())),
                Some("unfit") => Err(Error::UpstreamUnfit("too large".into())),
                _ => Err(Error::upstream_status(StatusCode::INTERNAL_SERVER_ERROR)),
            }
        }
        .boxed()
    })
}

async fn ask(chain: &impl Backend, text: &str) -> String {
    match chain.call(request("k", text), &()).await {
        Ok(_) => "ok".into(),
        Err(error) => error.code().to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
    let inner = obedient();
    let chain = Stack::new(CircuitBreaker::new(3, PAUSE), inner.clone());
    for text in ["fail", "fail", "ok", "fail", "fail", "fail"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
    assert_eq!(inner.count(), 6);

    advance(PAUSE).await;
    assert_eq!(ask(&chain, "fail").await, "upstream_status");
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
    advance(PAUSE).await;
    assert_eq!(ask(&chain, "ok").await, "ok");
    assert_eq!(ask(&chain, "fail").await, "upstream_status");
    assert_eq!(ask(&chain, "ok").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_answer_is_a_failure() {
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE), obedient());
    assert_eq!(ask(&chain, "invalid").await, "upstream_invalid");
    assert_eq!(ask(&chain, "invalid").await, "upstream_invalid");
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_a_client_can_cause_neither_open_nor_close_it() {
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE), obedient());
    for text in ["unfit", "bad", "full"] {
        for _ in 0..5 {
            assert_ne!(ask(&chain, text).await, "breaker_open", "{text}");
        }
        // Nor does it reset the count of failures.
        assert_eq!(ask(&chain, "fail").await, "upstream_status");
        assert_ne!(ask(&chain, text).await, "breaker_open", "{text}");
        assert_eq!(ask(&chain, "fail").await, "upstream_status");
        assert_eq!(ask(&chain, "ok").await, "breaker_open", "{text}");
        advance(PAUSE).await;
        assert_ne!(ask(&chain, text).await, "breaker_open", "{text}");
        assert_eq!(ask(&chain, "ok").await, "ok", "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_out_of_the_last_requests() {
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE).out_of(4), obedient());
    for text in ["fail", "ok", "ok", "ok", "fail", "ok", "ok", "fail"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn an_endless_pause_and_the_largest_numbers_are_valid() {
    let chain = Stack::new(CircuitBreaker::new(1, Duration::MAX), obedient());
    assert_eq!(ask(&chain, "fail").await, "upstream_status");
    advance(Duration::from_secs(100_000_000)).await;
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
    let never = CircuitBreaker::new(usize::MAX, PAUSE).probes(usize::MAX);
    let chain = Stack::new(never, obedient());
    for text in ["fail", "ok", "fail"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_only_the_probes_through() {
    let inner = obedient();
    let chain = Stack::new(CircuitBreaker::new(1, PAUSE).probes(2), inner.clone());
    ask(&chain, "fail").await;
    advance(PAUSE).await;

    let mut probe = Box::pin(chain.call(request("k", "hang"), &()));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(ask(&chain, "ok").await, "ok");
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
    drop(probe);
    assert_eq!(
        ask(&chain, "ok").await,
        "ok",
        "a cancelled probe is repeated"
    );
    assert_eq!(ask(&chain, "ok").await, "ok", "closed");
}

#[tokio::test(start_paused = true)]
async fn cancelled_requests_are_not_failures() {
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE), obedient());
    for _ in 0..10 {
        let req = request("k", "hang");
        assert!(chain.call(req, &()).now_or_never().is_none());
    }
    assert_eq!(ask(&chain, "ok").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn timeouts_inside_are_failures() {
    let limited = Stack::new(Timeout::new(Duration::from_secs(1)), obedient());
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE), limited);
    assert_eq!(ask(&chain, "hang").await, "timed_out");
    assert_eq!(ask(&chain, "hang").await, "timed_out");
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_upstream_is_a_success_and_an_earlier_refusal_counts_for_nothing() {
    let chain = Stack::new(CircuitBreaker::new(2, PAUSE), obedient());
    for text in ["fail", "unknown", "fail", "unknown", "unknown"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
    for text in ["fail", "full", "fail"] {
        assert_ne!(ask(&chain, text).await, "breaker_open");
    }
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn a_predicate_says_what_a_failure_is() {
    let breaker = CircuitBreaker::new(1, PAUSE).when(|error| error.code() == "bad_request");
    let chain = Stack::new(breaker, obedient());
    assert_eq!(ask(&chain, "fail").await, "upstream_status");
    assert_eq!(ask(&chain, "bad").await, "bad_request");
    assert_eq!(ask(&chain, "ok").await, "breaker_open");
}

#[tokio::test(start_paused = true)]
async fn each_route_has_its_own_breaker() {
    let chain = Stack::new(CircuitBreaker::new(1, PAUSE), obedient());
    let on_route = async |name: &'static str, text: &str| {
        let mut req = request("k", text);
        req.set_route(Route { path: 0, name });
        chain
            .call(req, &())
            .await
            .map_err(|error| error.code().to_owned())
    };
    assert!(on_route("a", "fail").await.is_err());
    assert_eq!(on_route("a", "ok").await.unwrap_err(), "breaker_open");
    assert!(on_route("b", "ok").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_from_before_the_breaker_opened_does_not_close_it() {
    let (open, gate) = tokio::sync::oneshot::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let inner = backend(|nth, _| {
        let gate = gate.lock().expect("not poisoned").take();
        async move {
            match gate {
                Some(gate) => gate.await.map(|()| Reply::none()).map_err(Error::internal),
                None if nth < 3 => Err(Error::UpstreamUnreachable("refused".into())),
                None => pending().await,
            }
        }
    });
    let chain = Stack::new(CircuitBreaker::new(1, PAUSE), inner.clone());
    let mut early = Box::pin(chain.call(request("k", ""), &()));
    assert!(early.as_mut().now_or_never().is_none());
    assert_eq!(ask(&chain, "").await, "upstream_unreachable");
    advance(PAUSE).await;
    assert_eq!(ask(&chain, "").await, "upstream_unreachable");
    advance(PAUSE).await;
    let mut probe = Box::pin(chain.call(request("k", ""), &()));
    assert!(probe.as_mut().now_or_never().is_none());
    open.send(()).expect("somebody waits");
    assert!(early.await.is_ok());
    assert_eq!(
        ask(&chain, "").await,
        "breaker_open",
        "the probe is still running"
    );
}
