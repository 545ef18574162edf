//! Middleware that did something other than its name says.

use std::{
    future::pending,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep_until,
};
use wasabi::{Error, StatusCode, prelude::*};
use wasabi_tests::{Gate, serve, soon, until};

/// Counts its calls and answers with the number of the call, as the function decides.
#[derive(Clone)]
struct Counted<F>(Arc<AtomicUsize>, F);

impl<F> Counted<F> {
    fn new(answer: F) -> Self {
        Self(Arc::default(), answer)
    }

    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl<S, F, Fut> Backend<S> for Counted<F>
where
    S: Sync,
    F: Fn(usize) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Reply>> + Send,
{
    async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
        self.1(self.0.fetch_add(1, Ordering::SeqCst) + 1).await
    }
}

fn unavailable() -> Error {
    Error::upstream_status(StatusCode::SERVICE_UNAVAILABLE)
}

/// Uses the whole text as the key.
fn whole(message: &Message) -> Result<Option<Envelope<'_>>> {
    Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
}

#[tokio::test]
async fn a_retry_around_a_timeout_retries() {
    let backend = Counted::new(async |nth| match nth {
        3 => Ok(Reply::message("third")),
        _ => pending().await,
    });
    let server = serve(gateway!(channel(
        "/",
        with(
            [
                Retry::new(Backoff::constant(1ms).retries(2)),
                Timeout::new(20ms)
            ],
            backend.clone()
        ),
    )))
    .await;
    assert_eq!(server.connect("/").await.ask("x").await, "third");
    assert_eq!(backend.calls(), 3);
}

#[tokio::test]
async fn equal_requests_at_once_are_one_call_also_when_the_first_client_leaves() {
    let (open, gate) = watch::channel(false);
    let backend = Counted::new(move |_| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            Ok(Reply::message("done"))
        }
    });
    let server = serve(gateway!(channel(
        "/",
        with([Cache::new(1h)], backend.clone())
    )))
    .await;
    let mut first = server.connect("/").await;
    first.send("x").await;
    until("the first call", || backend.calls() == 1).await;
    let mut others = Vec::new();
    for _ in 0..10 {
        let mut client = server.connect("/").await;
        for _ in 0..10 {
            client.send("x").await;
        }
        others.push(client);
    }
    drop(first);
    until("somebody takes over", || backend.calls() == 2).await;
    open.send_replace(true);
    for client in &mut others {
        for _ in 0..10 {
            assert_eq!(client.text().await, "done");
        }
    }
    assert_eq!(backend.calls(), 2);
}

#[tokio::test]
async fn one_cache_around_a_channel_and_around_a_route_of_it_answers_and_makes_one_call() {
    let gate = Gate::closed();
    let backend = Counted::new({
        let gate = gate.clone();
        move |nth: usize| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Ok(Reply::message(nth.to_string()))
            }
        }
    });
    let cache = Cache::new(Duration::from_secs(3600));
    let server = serve(gateway!(channel(
        "/",
        middleware = [cache.clone()],
        with([cache], backend.clone())
    )))
    .await;
    let (mut client, mut other) = (server.connect("/").await, server.connect("/").await);
    client.send("x").await;
    other.send("x").await;
    until("the call", || backend.calls() == 1).await;
    gate.open.add_permits(10);
    assert_eq!(client.text().await, "1");
    assert_eq!(other.text().await, "1");
    assert_eq!(client.ask("x").await, "1");
}

#[tokio::test]
async fn a_cached_reply_expires_even_if_it_is_requested_all_the_time() {
    let backend = Counted::new(async |nth: usize| Ok(Reply::message(nth.to_string())));
    let server = serve(gateway!(channel(
        "/",
        with([Cache::new(200ms)], backend.clone())
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("x").await, "1");
    soon(async { while client.ask("x").await == "1" {} }).await;
}

#[tokio::test]
async fn a_cached_reply_keeps_its_bytes_whatever_is_read_and_written_meanwhile() {
    // The reply is a slice of the buffer that its request was read into.
    let server = serve(gateway!(channel(
        "/",
        match key {
            "text" => with([Cache::new(1h)], async |bytes: Bytes| Message::Binary(
                bytes.slice(6..)
            )),
            _ => async |_: Bytes| (),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("cached reply").await;
    assert_eq!(client.binary().await, b" reply");
    for n in 0..100_u8 {
        client.send(vec![n; 1000]).await;
    }
    client.send("cached reply").await;
    assert_eq!(client.binary().await, b" reply");
}

#[tokio::test]
async fn a_cached_silence_stays_silent() {
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        match key {
            "end" => async || "end",
            _ => with([Cache::new(1h)], async || ()),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for text in ["x", "x", "x"] {
        client.send(text).await;
    }
    // Replies of functions that do not wait keep their order, so none came before this one.
    assert_eq!(client.ask("end").await, "end");
}

#[tokio::test]
async fn no_retries_are_one_try() {
    let (good, bad) = (
        Counted::new(async |_| Ok(Reply::message("done"))),
        Counted::new(async |_| Err(unavailable())),
    );
    let server = serve(gateway!(
        middleware = [Retry::new(Backoff::constant(1ms).retries(black_box(0)))],
        channel("/good", good.clone()),
        channel("/bad", bad.clone()),
    ))
    .await;
    assert_eq!(server.connect("/good").await.ask("x").await, "done");
    let refusal = server.connect("/bad").await.ask("x").await;
    assert!(refusal.starts_with("upstream_status"), "{refusal}");
    assert_eq!((good.calls(), bad.calls()), (1, 1));
}

#[tokio::test]
async fn there_is_no_pause_after_the_last_try() {
    let backend = Counted::new(async |_| Err(unavailable()));
    let server = serve(gateway!(channel(
        "/",
        with(
            [Retry::new(Backoff::constant(1h).retries(black_box(0)))],
            backend.clone()
        )
    )))
    .await;
    let refusal = server.connect("/").await.ask("x").await;
    assert!(refusal.starts_with("upstream_status"), "{refusal}");
    assert_eq!(backend.calls(), 1);
}

#[tokio::test]
async fn each_route_has_its_own_circuit_breaker() {
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        middleware = [CircuitBreaker::new(1, 1h)],
        match key {
            "bad" => Counted::new(async |_| Err(unavailable())),
            _ => async || "good",
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for code in ["upstream_status", "breaker_open"] {
        let refusal = client.ask("bad").await;
        assert!(refusal.starts_with(code), "{refusal}");
    }
    assert_eq!(client.ask("x").await, "good");
}

#[tokio::test]
async fn clients_that_leave_do_not_count_as_failures_of_the_upstream() {
    let (entered, mut entries) = mpsc::unbounded_channel();
    let backend = Counted::new(move |nth| {
        let entered = entered.clone();
        async move {
            if nth > 5 {
                return Ok(Reply::message("fine"));
            }
            let _ = entered.send(());
            pending().await
        }
    });
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        middleware = [CircuitBreaker::new(1, 1h)],
        backend,
    )))
    .await;
    for _ in 0..5 {
        let mut client = server.connect("/").await;
        client.send("x").await;
        soon(entries.recv()).await;
    }
    until("they have gone", || registry.is_empty()).await;
    assert_eq!(server.connect("/").await.ask("x").await, "fine");
}

#[tokio::test]
async fn a_rate_limit_of_0_lets_nothing_through() {
    let backend = Counted::new(async |_| Ok(Reply::none()));
    let limit = RateLimit::per_minute(black_box(0));
    let server = serve(gateway!(channel(
        "/",
        middleware = [limit],
        backend.clone()
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..3 {
        let refusal = client.ask("x").await;
        assert!(refusal.starts_with("rate_limited"), "{refusal}");
    }
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn a_rate_has_no_window_edge_where_twice_as_many_pass() {
    let server = serve(gateway!(channel(
        "/",
        middleware = [RateLimit::per_second(10)],
        async || "done",
    )))
    .await;
    let mut client = server.connect("/").await;
    let mut passed = async |requests| {
        let mut passed = 0;
        for _ in 0..requests {
            passed += usize::from(client.ask("x").await == "done");
        }
        passed
    };
    // A one-second window would begin with the first request, and would end between the others.
    let begin = Instant::now();
    assert_eq!(passed(1).await, 1);
    sleep_until((begin + Duration::from_millis(900)).into()).await;
    let edge = Instant::now();
    let before = passed(9).await;
    sleep_until((begin + Duration::from_millis(1050)).into()).await;
    let all = before + passed(20).await;
    let most = 10.0 + 10.0 * edge.elapsed().as_secs_f32();
    assert!(all as f32 <= most, "{all} of {most}");
}
