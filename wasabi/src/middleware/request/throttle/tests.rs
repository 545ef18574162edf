use futures_util::{FutureExt, StreamExt, stream};

use super::*;
use crate::{
    Backend,
    middleware::Stack,
    reply::Body,
    testing::{backend, connection, request, request_on},
};

/// Answers when the test opens the gate.
fn gate() -> (Arc<tokio::sync::Notify>, Arc<impl Backend>) {
    let open = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&open);
    let inner = backend(move |_, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(Reply::message("done"))
        }
    });
    (open, inner)
}

fn code(outcome: Option<Result<Reply>>) -> String {
    match outcome {
        None => "waits".into(),
        Some(Ok(_)) => "ok".into(),
        Some(Err(error)) => error.code().to_owned(),
    }
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_until_one_is_done() {
    let (open, inner) = gate();
    let chain = Stack::new(Throttle::new(2), inner);
    let mut first = Box::pin(chain.call(request("k", ""), &()));
    let mut second = Box::pin(chain.call(request("k", ""), &()));
    assert_eq!(code(first.as_mut().now_or_never()), "waits");
    assert_eq!(code(second.as_mut().now_or_never()), "waits");
    assert_eq!(
        code(chain.call(request("k", ""), &()).now_or_never()),
        "overloaded"
    );

    open.notify_one();
    assert!(first.await.is_ok());
    assert_eq!(
        code(chain.call(request("k", ""), &()).now_or_never()),
        "waits"
    );
}

#[tokio::test]
async fn a_cancelled_request_gives_its_place_back() {
    let (_open, inner) = gate();
    let chain = Stack::new(Throttle::new(1), inner);
    for _ in 0..3 {
        assert_eq!(
            code(chain.call(request("k", ""), &()).now_or_never()),
            "waits"
        );
    }
}

#[tokio::test]
async fn a_stream_counts_until_it_ends() {
    let inner = backend(async |_, _| {
        Ok(Reply::stream(
            stream::iter(["a", "b"]).map(|text| Ok(text.into())),
        ))
    });
    let chain = Stack::new(Throttle::new(1), inner);
    let reply = chain.call(request("k", ""), &()).await.expect("a stream");
    assert_eq!(
        code(chain.call(request("k", ""), &()).now_or_never()),
        "overloaded"
    );
    let Body::Stream(messages) = reply.into_body() else {
        panic!("expected a stream");
    };
    assert_eq!(messages.count().await, 2);
    assert_eq!(code(chain.call(request("k", ""), &()).now_or_never()), "ok");
}

#[tokio::test]
async fn each_connection_has_its_own_limit() {
    let (_open, inner) = gate();
    let chain = Stack::new(
        Throttle::new(1).by(|req: &Request| req.connection().id()),
        inner,
    );
    let (a, b) = (connection(1, "/"), connection(2, "/"));
    let mut first = Box::pin(chain.call(request_on(&a, "k", ""), &()));
    assert_eq!(code(first.as_mut().now_or_never()), "waits");
    assert_eq!(
        code(chain.call(request_on(&a, "k", ""), &()).now_or_never()),
        "overloaded"
    );
    assert_eq!(
        code(chain.call(request_on(&b, "k", ""), &()).now_or_never()),
        "waits"
    );
    drop(first);
    assert_eq!(
        code(chain.call(request_on(&a, "k", ""), &()).now_or_never()),
        "waits"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_below_its_share_gets_the_next_place_and_others_are_refused() {
    for throttle in [
        Throttle::new(2),
        Throttle::new(2).wait(Duration::from_secs(5)),
    ] {
        let (open, inner) = gate();
        let chain = Stack::new(throttle, inner);
        let (many, one) = (connection(1, "/"), connection(2, "/"));
        let mut held = [0, 1].map(|_| Box::pin(chain.call(request_on(&many, "k", ""), &())));
        for held in &mut held {
            assert_eq!(code(held.as_mut().now_or_never()), "waits");
        }
        let mut waits = Box::pin(chain.call(request_on(&one, "k", ""), &()));
        assert_eq!(code(waits.as_mut().now_or_never()), "waits");
        let second = chain.call(request_on(&one, "k", ""), &()).now_or_never();
        assert_eq!(code(second), "overloaded");
        open.notify_one();
        let [first, _second] = &mut held;
        assert!(first.await.is_ok());
        // The request that waited has already taken the place.
        let more = chain.call(request_on(&many, "k", ""), &()).now_or_never();
        assert_eq!(code(more), "overloaded");
        assert_eq!(code(waits.as_mut().now_or_never()), "waits");
        open.notify_waiters();
        assert!(waits.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_share_until_the_limit_of_the_wait() {
    for (wait, most) in [(1000, 1000), (50, 50), (0, 0)] {
        let (_open, inner) = gate();
        let throttle = Throttle::new(1).by(|req: &Request| req.key().to_owned());
        let throttle = match most {
            1000 => throttle,
            _ => throttle.wait(Duration::from_millis(wait)),
        };
        let chain = Stack::new(throttle, inner);
        let (many, one) = (connection(1, "/"), connection(2, "/"));
        let mut held = Box::pin(chain.call(request_on(&many, "k", ""), &()));
        assert_eq!(code(held.as_mut().now_or_never()), "waits");
        let before = tokio::time::Instant::now();
        let refused = chain.call(request_on(&one, "k", ""), &()).await;
        assert_eq!(code(Some(refused)), "overloaded");
        assert!(before.elapsed().as_millis().abs_diff(most) <= 2);
    }
}

#[tokio::test]
async fn keys_are_forgotten_when_they_are_idle() {
    let throttle = Throttle::new(1).by(|req: &Request| req.payload());
    let chain = Stack::new(throttle.clone(), backend(async |_, _| Ok(Reply::none())));
    for n in 0..100 {
        assert!(chain.call(request("k", &n.to_string()), &()).await.is_ok());
    }
    assert_eq!(throttle.places.by_key.len(), 0);
}

#[tokio::test]
async fn clones_share_the_limit_and_0_lets_nothing_through() {
    let (_open, inner) = gate();
    let throttle = Throttle::new(1);
    let here = Stack::new(throttle.clone(), inner.clone());
    let there = Stack::new(throttle, inner.clone());
    let mut first = Box::pin(here.call(request("k", ""), &()));
    assert_eq!(code(first.as_mut().now_or_never()), "waits");
    assert_eq!(
        code(there.call(request("k", ""), &()).now_or_never()),
        "overloaded"
    );

    let none = Stack::new(Throttle::new(0), inner.clone());
    assert_eq!(
        code(none.call(request("k", ""), &()).now_or_never()),
        "overloaded"
    );
    let none = Stack::new(
        Throttle::new(0).by(|req: &Request| req.connection().id()),
        inner,
    );
    assert_eq!(
        code(none.call(request("k", ""), &()).now_or_never()),
        "overloaded"
    );
}
