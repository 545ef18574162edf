use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::join_all, stream};
use tokio::{sync::Notify, task::unconstrained};

use super::*;
use crate::{
    Backend, Message,
    middleware::Stack,
    panics::caught_future,
    testing::{backend, connection, request, request_on},
};

const LONG: Duration = Duration::from_secs(3600);

fn text(outcome: Result) -> String {
    match outcome {
        Ok(reply) => match reply.as_messages() {
            [message] => message.as_text().unwrap_or("binary").to_owned(),
            messages => format!("{} messages", messages.len()),
        },
        Err(error) => error.code().to_owned(),
    }
}

#[tokio::test]
async fn a_hundred_equal_requests_at_once_are_one_call() {
    let open = Notify::new();
    let inner = backend(async |nth, _| {
        open.notified().await;
        Ok(Reply::message(nth.to_string()))
    });
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    let all = join_all((0..100).map(|_| chain.call(request("k", "x"), &())));
    let mut all = Box::pin(all);
    assert!(all.as_mut().now_or_never().is_none());
    open.notify_waiters();
    assert!(all.await.into_iter().all(|outcome| text(outcome) == "0"));
    assert_eq!(inner.count(), 1);
    assert_eq!(text(chain.call(request("k", "x"), &()).await), "0");
    assert_eq!(inner.count(), 1);
}

#[tokio::test]
async fn when_the_caller_is_cancelled_another_one_takes_over() {
    let open = Notify::new();
    let inner = backend(async |nth, _| {
        open.notified().await;
        Ok(Reply::message(nth.to_string()))
    });
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    let mut leader = Box::pin(chain.call(request("k", "x"), &()));
    assert!(leader.as_mut().now_or_never().is_none());
    let mut followers = Box::pin(join_all((0..9).map(|_| chain.call(request("k", "x"), &()))));
    assert!(followers.as_mut().now_or_never().is_none());
    drop(leader);
    assert!(followers.as_mut().now_or_never().is_none());
    open.notify_waiters();
    assert!(
        followers
            .await
            .into_iter()
            .all(|outcome| text(outcome) == "1")
    );
    assert_eq!(inner.count(), 2);
}

#[tokio::test]
async fn waiting_requests_get_a_reply_however_many_callers_are_cancelled() {
    let open = Notify::new();
    let inner = backend(async |_, _| {
        open.notified().await;
        Ok(Reply::message("done"))
    });
    let cache = Cache::new(LONG);
    let calls = cache.calls.clone();
    let chain = Stack::new(cache, inner.clone());
    // All of this runs in a single poll of this task, longer than tokio's budget allows.
    let caller = || Box::pin(unconstrained(chain.call(request("k", "x"), &())));
    let mut callers: VecDeque<_> = (0..300).map(|_| caller()).collect();
    for caller in &mut callers {
        assert!(caller.as_mut().now_or_never().is_none());
    }
    let mut patient = caller();
    assert!(patient.as_mut().now_or_never().is_none());
    while let Some(gone) = callers.pop_front() {
        drop(gone);
        // All of them have been woken.
        for waits in callers.iter_mut().chain([&mut patient]) {
            assert!(waits.as_mut().now_or_never().is_none());
        }
    }
    assert!(patient.as_mut().now_or_never().is_none());
    open.notify_waiters();
    assert_eq!(text(patient.await), "done");
    assert_eq!(calls.len(), 0);
}

#[tokio::test]
async fn a_panic_is_one_call_and_an_error_for_all_waiting_requests() {
    let open = Notify::new();
    let inner = backend(async |nth, _| {
        open.notified().await;
        assert!(nth != 0, "on purpose");
        Ok(Reply::message("fine"))
    });
    let cache = Cache::new(LONG);
    let calls = cache.calls.clone();
    let chain = Stack::new(cache, inner.clone());
    let mut caller = Box::pin(caught_future(chain.call(request("k", "x"), &())));
    assert!(caller.as_mut().now_or_never().is_none());
    let mut others = Box::pin(join_all((0..9).map(|_| chain.call(request("k", "x"), &()))));
    assert!(others.as_mut().now_or_never().is_none());
    open.notify_waiters();
    assert!(caller.await.is_err());
    assert!(
        others
            .await
            .into_iter()
            .all(|outcome| text(outcome) == "internal")
    );
    assert_eq!((inner.count(), calls.len()), (1, 0));
    open.notify_one();
    assert_eq!(text(chain.call(request("k", "x"), &()).await), "fine");
}

#[tokio::test]
async fn an_error_reaches_all_waiting_requests_and_is_not_stored() {
    let open = Notify::new();
    let inner = backend(async |_, _| {
        open.notified().await;
        Err(Error::new("sold_out", "none left"))
    });
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    for calls in 1..=2 {
        let mut all = Box::pin(join_all(
            (0..10).map(|_| chain.call(request("k", "x"), &())),
        ));
        assert!(all.as_mut().now_or_never().is_none());
        open.notify_waiters();
        assert!(
            all.await
                .into_iter()
                .all(|outcome| text(outcome) == "sold_out")
        );
        assert_eq!(inner.count(), calls);
    }
}

#[tokio::test]
async fn empty_replies_and_streams_are_not_stored_and_each_request_gets_its_own() {
    let empty = AtomicBool::new(true);
    let inner = backend(async |_, _| {
        tokio::task::yield_now().await;
        Ok(match empty.load(Ordering::SeqCst) {
            true => Reply::none(),
            false => Reply::stream(stream::iter(["a"]).map(|text| Ok(text.into()))),
        })
    });
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    for outcome in join_all((0..3).map(|_| chain.call(request("k", "x"), &()))).await {
        assert!(outcome.expect("a reply").is_none());
    }
    empty.store(false, Ordering::SeqCst);
    for outcome in join_all((0..3).map(|_| chain.call(request("k", "x"), &()))).await {
        assert!(outcome.expect("a reply").is_stream());
    }
    assert_eq!(inner.count(), 6);
}

#[tokio::test]
async fn replies_of_several_messages_are_stored_in_their_own_memory() {
    let buffer = Bytes::from(vec![b'x'; 1 << 20]);
    let slice = buffer.slice(..2);
    let text = crate::Text::try_from(slice.clone()).expect("UTF-8");
    let inner = backend(async |_, _| {
        Ok(Reply::messages(vec![
            slice.clone().into(),
            text.clone().into(),
        ]))
    });
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    for _ in 0..2 {
        let reply = chain.call(request("k", "x"), &()).await.expect("a reply");
        let [Message::Binary(data), second] = reply.as_messages() else {
            panic!("expected two messages");
        };
        assert_eq!((&data[..], second.as_text()), (&b"xx"[..], Some("xx")));
    }
    assert_eq!(inner.count(), 1);
    let reply = chain.call(request("k", "x"), &()).await.expect("a reply");
    for message in reply.as_messages() {
        assert!(!buffer.as_ptr_range().contains(&message.as_bytes().as_ptr()));
    }
}

/// The clock underneath is the real one.
#[tokio::test]
async fn the_age_counts_from_storing_and_not_from_the_last_use() {
    let inner = backend(async |nth, _| Ok(Reply::message(nth.to_string())));
    let chain = Stack::new(Cache::new(Duration::from_millis(200)), inner.clone());
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(500) {
        assert!(chain.call(request("k", "x"), &()).await.is_ok());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((2..=4).contains(&inner.count()), "{} calls", inner.count());
}

#[tokio::test]
async fn the_key_tells_requests_apart() {
    let inner = backend(async |nth, _| Ok(Reply::message(nth.to_string())));
    let chain = Stack::new(Cache::new(LONG), inner.clone());
    let (here, there) = (connection(1, "/v1/a?x=1"), connection(2, "/v1/b?x=1"));
    let same_as_here = connection(3, "/v1/a?x=1");
    let ask = async |req| text(chain.call(req, &()).await);
    assert_eq!(ask(request_on(&here, "k", "x")).await, "0");
    assert_eq!(ask(request_on(&there, "k", "x")).await, "1");
    assert_eq!(ask(request_on(&here, "other", "x")).await, "2");
    assert_eq!(ask(request_on(&here, "k", r#"{"id":2}"#)).await, "3");
    assert_eq!(ask(request_on(&same_as_here, "k", "x")).await, "0");

    let by_connection =
        Cache::new(LONG).by(|req| (req.key() != "never").then(|| req.connection().id()));
    let chain = Stack::new(by_connection, inner.clone());
    let ask = async |req| text(chain.call(req, &()).await);
    assert_eq!(ask(request_on(&here, "k", "x")).await, "4");
    assert_eq!(ask(request_on(&here, "other", "y")).await, "4");
    assert_eq!(ask(request_on(&there, "k", "x")).await, "5");
    assert_eq!(ask(request_on(&here, "never", "x")).await, "6");
    assert_eq!(ask(request_on(&here, "never", "x")).await, "7");
}

#[tokio::test]
async fn entries_and_bytes_are_bounded() {
    let inner = backend(async |_, _| Ok(Reply::message("x".repeat(100))));
    for (cache, most) in [
        (Cache::new(LONG).max_entries(50), 50),
        (Cache::new(LONG).max_bytes(20_000), 200),
        (Cache::new(LONG).max_entries(0), 0),
    ] {
        let replies = cache.replies.clone();
        let chain = Stack::new(cache, inner.clone());
        for n in 0..2000 {
            assert!(chain.call(request("k", &n.to_string()), &()).await.is_ok());
        }
        replies.run_pending_tasks().await;
        let stored = replies.entry_count();
        assert!(
            stored <= most && (most == 0 || stored > 0),
            "{stored} of {most}"
        );
    }
}

#[tokio::test]
async fn a_request_that_meets_its_own_cache_again_further_inside_does_not_wait_for_itself() {
    let inner = backend(async |nth, _| Ok(Reply::message(nth.to_string())));
    let cache = Arc::new(Cache::new(LONG));
    let chain = Stack::new(cache.clone(), Stack::new((*cache).clone(), inner.clone()));
    let chain = Stack::new(cache.clone(), chain);
    for _ in 0..2 {
        let outcome = chain.call(request("k", "x"), &()).now_or_never();
        assert_eq!(outcome.map(text).as_deref(), Some("0"));
    }
    assert_eq!(cache.calls.len(), 0);
}

/// Holds requests until it is opened.
#[derive(Default)]
struct Gate(Notify);

impl Middleware for &Gate {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        self.0.notified().await;
        next.run(req).await
    }
}

#[tokio::test]
async fn two_caches_around_each_other_in_both_orders_do_not_wait_for_each_other() {
    let inner = backend(async |_, _| Ok(Reply::message("done")));
    let (a, b) = (Cache::new(LONG), Cache::new(LONG));
    let gate = Gate::default();
    let around = |outer: &Cache, inside: &Cache| {
        let inside = Stack::new(inside.clone(), inner.clone());
        Stack::new(outer.clone(), Stack::new(&gate, inside))
    };
    let (a_in_b, b_in_a) = (around(&b, &a), around(&a, &b));
    let mut both = Box::pin(join_all([
        a_in_b.call(request("k", "x"), &()),
        b_in_a.call(request("k", "x"), &()),
    ]));
    assert!(both.as_mut().now_or_never().is_none());
    gate.0.notify_waiters();
    let outcomes = both.now_or_never().expect("nobody to wait for");
    assert!(outcomes.into_iter().all(|outcome| text(outcome) == "done"));
}

#[tokio::test]
async fn the_inner_of_two_caches_still_makes_one_call_of_those_that_differ_outside() {
    let open = Notify::new();
    let inner = backend(async |nth, _| {
        open.notified().await;
        Ok(Reply::message(nth.to_string()))
    });
    let by_payload = Cache::new(LONG);
    let by_key = Cache::new(LONG).by(|req| Some(req.key().to_owned()));
    let chain = Stack::new(by_payload, Stack::new(by_key, inner.clone()));
    let mut all = Box::pin(join_all(
        ["x", "y", "z"].map(|text| chain.call(request("k", text), &())),
    ));
    assert!(all.as_mut().now_or_never().is_none());
    open.notify_waiters();
    assert!(all.await.into_iter().all(|outcome| text(outcome) == "0"));
    assert_eq!(inner.count(), 1);
}

#[test]
fn no_two_requests_have_the_same_key_by_where_their_parts_end() {
    let cache = Cache::new(LONG);
    let of = |uri, key, text| cache.digest(&request_on(&connection(0, uri), key, text));
    let (one, other) = (of("/a", "bc", "d"), of("/a", "b", "cd"));
    assert!(one.is_some() && one != other);
    assert!(of("/", "a", "b") != of("/", "", "ab"));
    assert!(of("/x", "", "y") == of("/x", "", "y"));
}

#[tokio::test]
async fn keys_of_any_size_weigh_the_same() {
    let inner = backend(async |_, _| Ok(Reply::message("x")));
    let cache = Cache::new(LONG).by(|req| Some(req.payload()));
    let replies = cache.replies.clone();
    let chain = Stack::new(cache, inner);
    for n in 0..100 {
        let text = format!("{n}{}", "x".repeat(30_000));
        assert!(chain.call(request("k", &text), &()).await.is_ok());
    }
    replies.run_pending_tasks().await;
    assert_eq!(replies.entry_count(), 100);
    // The stored size of 3 MB of keys.
    let least = (64_u64 << 20).div_ceil(10_000);
    assert_eq!(replies.weighted_size(), 100 * least);
}
