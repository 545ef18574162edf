//! R15: user functions that middleware and backends call. A panic in one costs one reply. What its request has taken (a
//! permit, a place or the single call for a key) is available to the next request again.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use tokio::sync::mpsc;
use wasabi::{
    Error, HttpRequest,
    middleware::request::{ErrorHandler, Measured},
    prelude::*,
};
use wasabi_tests::{Client, http_service, serve, soon};

fn key(message: &Message) -> Result<Option<Envelope<'_>>> {
    let text = message.as_text().unwrap_or_default();
    let (key, _) = text.split_once(' ').unwrap_or((text, ""));
    Ok(Some(Envelope::new(key)))
}

fn check(text: &str) {
    assert!(!text.ends_with("boom"), "on purpose");
}

fn look(req: &Request) -> u8 {
    check(req.message().as_text().unwrap_or_default());
    7
}

fn look_at(error: &Error) -> bool {
    check(&error.to_string());
    error.to_string().ends_with("bad")
}

async fn echo(text: Text) -> Result<Text> {
    match text.split_once(' ') {
        Some((_, "boom" | "bad")) => Err(Error::bad_request(text.to_string())),
        _ => Ok(text),
    }
}

/// Panics twice and then works: at a place, with a permit and for a key of which there is only one.
async fn costs_one_reply(client: &mut Client, key: &str) {
    for _ in 0..2 {
        let answer = client.ask(&format!("{key} boom")).await;
        assert_eq!(answer, "internal: internal error", "{key}");
    }
    assert_eq!(
        client.ask(&format!("{key} fine")).await,
        format!("{key} fine")
    );
}

#[tokio::test]
async fn a_panic_in_a_function_of_a_middleware_is_one_error_reply() {
    let server = serve(gateway!(channel(
        "/",
        parser = key,
        match key {
            "throttle" => with([Throttle::new(1), Throttle::new(1).by(look)], echo),
            "limit" => with([Throttle::new(1), RateLimit::per_second(9).by(look)], echo),
            "cache" => with(
                [Throttle::new(1), Cache::new(1h).by(|req| Some(look(req)))],
                echo
            ),
            "cached" => with(
                [Cache::new(1h), Throttle::new(1), Throttle::new(1).by(look)],
                echo
            ),
            "retry" => with(
                [
                    Throttle::new(1),
                    Retry::new(Backoff::constant(1ms).retries(1)).when(look_at)
                ],
                echo
            ),
            "breaker" => with(
                [Throttle::new(1), CircuitBreaker::new(1, 1ms).when(look_at)],
                echo
            ),
            "handler" => with(
                [
                    Throttle::new(1),
                    ErrorHandler::new(|req: &Request, error: Error| {
                        look(req);
                        Err::<Reply, _>(error)
                    })
                ],
                echo
            ),
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for key in [
        "throttle", "limit", "cache", "cached", "retry", "breaker", "handler",
    ] {
        costs_one_reply(&mut client, key).await;
    }
    // As a probe, of which there is only one.
    assert_eq!(client.ask("breaker bad").await, "bad_request: breaker bad");
    let probe = async {
        loop {
            match &*client.ask("breaker boom").await {
                "breaker_open: temporarily unavailable" => {}
                answer => return answer.to_owned(),
            }
        }
    };
    assert_eq!(soon(probe).await, "internal: internal error");
    assert_eq!(client.ask("breaker fine").await, "breaker fine");
}

#[tokio::test]
async fn a_panic_in_a_function_of_a_backend_is_one_error_reply() {
    let upstream = axum::Router::new().route(
        "/",
        axum::routing::post(async |body: String| match body.ends_with("boom") {
            true => (StatusCode::IM_A_TEAPOT, body),
            false => (StatusCode::OK, body),
        }),
    );
    let url = http_service(upstream).await;
    let factory = {
        let url = url.clone();
        move |req: &Request| {
            look(req);
            Ok(HttpRequest::post(&url).body(req.payload()))
        }
    };
    let (jobs, mut inbox) = mpsc::unbounded_channel();
    let queue = Queue::callback(move |req: Request, id| {
        if req.key() == "publish" {
            look(&req);
        }
        let sent = jobs.send((id, req.message().clone()));
        async { sent.map_err(Error::internal) }
    })
    .max_pending(1);
    let replies = queue.inbox();
    tokio::spawn(async move {
        while let Some((id, message)) = inbox.recv().await {
            replies.reply(id, message);
        }
    });
    let server = serve(gateway!(channel(
        "/",
        parser = key,
        match key {
            "status" => Http::post(&url).concurrency(1).accept_status(|status| {
                assert!(status.is_success(), "on purpose");
                true
            }),
            "factory" => Http::with(factory).concurrency(1),
            "publish" => queue.clone(),
            "topic" => queue.clone().topic_by(|req| look(req).to_string()),
            "header" => queue.header_with("number", |req| look(req).to_string()),
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for key in ["status", "factory", "publish", "topic", "header"] {
        costs_one_reply(&mut client, key).await;
    }
}

/// Two layers around each other: the inner one's panic is unwinding while the outer one is told of it.
#[tokio::test]
async fn a_panic_in_a_measuring_function_is_one_error_reply_however_its_request_ends() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let measure = Measure::new(move |_: Measured<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    });
    let server = serve(gateway!(channel(
        "/",
        middleware = [Timeout::new(50ms), measure.clone(), measure],
        async |text: Text| {
            match &*text {
                "panic" => panic!("on purpose"),
                "wait" => pending().await,
                _ => text,
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("reply").await, "internal: internal error");
    assert_eq!(client.ask("panic").await, "internal: internal error");
    assert_eq!(client.ask("wait").await, "timed_out: no reply in time");
    assert_eq!(told.load(Ordering::SeqCst), 6);
}
