//! Message queues, over the in-process broker and over the tests' own transports.

mod reconnecting;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{
    BoxError, Error,
    prelude::*,
    queue::{CorrelationId, Inbox, Job, Memory, Outgoing, Session, Transport, Worker},
};
use wasabi_tests::{serve, soon, until};

/// Echoes every message.
fn echo(mut worker: Worker) {
    tokio::spawn(async move {
        loop {
            let job = worker.next().await;
            job.reply(job.message().clone());
        }
    });
}

/// Takes the next job, which must come soon.
async fn next(worker: &mut Worker) -> Job {
    soon(worker.next()).await
}

fn orders() -> (Queue<Memory>, Worker) {
    let broker = Memory::new();
    let worker = broker.worker("orders");
    (Queue::new(broker, "orders"), worker)
}

#[tokio::test]
async fn the_reply_of_a_worker_goes_back_with_its_kind() {
    let (queue, worker) = orders();
    echo(worker);
    let server = serve(gateway!(channel("/", queue.clone()))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("hello").await, "hello");
    client.send(Frame::binary(vec![0, 1, 255])).await;
    assert_eq!(client.binary().await, [0, 1, 255]);
    assert_eq!(client.ask("").await, "");
    assert_eq!(queue.pending(), 0);
}

#[tokio::test]
async fn replies_come_in_any_order() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(channel("/", queue))).await;
    let mut client = server.connect("/").await;
    let mut jobs = Vec::new();
    for n in 0..20 {
        client.send(n.to_string()).await;
        jobs.push(next(&mut worker).await);
    }
    for n in (0..20).rev() {
        assert!(jobs[n].reply(jobs[n].message().clone()));
        assert_eq!(client.text().await, n.to_string());
    }
}

#[tokio::test]
async fn a_late_queue_reply_is_dropped_and_counted() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(channel(
        "/",
        errors = Json,
        queue.clone().timeout(20ms),
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let job = next(&mut worker).await;
    assert_eq!(client.json().await["error"]["code"], "timed_out");
    assert_eq!(queue.pending(), 0);
    assert!(!job.reply("late"));
    client.silent().await;
    assert_eq!(queue.dropped().unmatched, 1);
}

#[tokio::test]
async fn foreign_and_invented_queue_replies_are_dropped_and_counted() {
    let (queue, mut worker) = orders();
    let (other, mut other_worker) = orders();
    let server = serve(gateway!(
        channel("/", queue.clone()),
        channel("/other", other.clone()),
    ))
    .await;
    let (mut client, mut stranger) = (server.connect("/").await, server.connect("/other").await);
    client.send("x").await;
    stranger.send("x").await;
    let (job, foreign) = (next(&mut worker).await, next(&mut other_worker).await);
    assert!(!queue.inbox().reply(foreign.id(), "foreign"));
    assert!(!queue.inbox().reply("7", "invented"));
    assert_eq!(queue.dropped().foreign, 2);
    assert!(job.reply("mine"));
    assert!(foreign.reply("theirs"));
    assert_eq!(client.text().await, "mine");
    assert_eq!(stranger.text().await, "theirs");
}

#[tokio::test]
async fn a_queue_reply_that_is_too_large_is_an_error_reply_for_its_request() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(
        channel("/", errors = Json, queue.clone()),
        channel("/small", errors = Json, queue.clone().max_reply_size(1KiB)),
    ))
    .await;
    let mut client = server.connect("/small").await;
    for (size, fits) in [(1024, true), (1025, false), (1024, true)] {
        client.send("x").await;
        assert_eq!(next(&mut worker).await.reply("y".repeat(size)), fits);
        let reply = client.text().await;
        assert_eq!(reply.contains("upstream_invalid"), !fits, "{reply}");
    }
    let mut client = server.connect("/").await;
    for (size, fits) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        client.send("x").await;
        assert_eq!(next(&mut worker).await.reply("y".repeat(size)), fits);
        let reply = client.text().await;
        assert_eq!(reply.contains("upstream_invalid"), !fits);
    }
    assert_eq!(queue.dropped().too_large, 2);
    assert_eq!(queue.pending(), 0);
}

#[tokio::test]
async fn a_callback_publishes_and_respond_answers() {
    let (sender, mut sent) = mpsc::channel::<(CorrelationId, String)>(1);
    let queue = Queue::callback(move |req: Request, id| {
        let sender = sender.clone();
        async move {
            let text = req.message().as_text().unwrap_or_default().to_owned();
            sender.send((id, text)).await.map_err(BoxError::from)
        }
    });
    let server = serve(gateway!(channel("/", errors = Json, queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("question").await;
    let (id, question) = soon(sent.recv()).await.expect("a request");
    assert_eq!(question, "question");
    assert!(queue.respond(id.as_str(), "answer"));
    assert!(!queue.respond(id, "answer"));
    assert_eq!(client.text().await, "answer");

    drop(sent);
    client.send("question").await;
    assert_eq!(client.json().await["error"]["code"], "internal");
    assert_eq!(queue.pending(), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_releases_its_place() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(channel(
        "/",
        errors = Json,
        queue.clone().max_pending(1)
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let job = next(&mut worker).await;
    assert_eq!(queue.pending(), 1);
    assert_eq!(
        client.ask_json(json!("y")).await["error"]["code"],
        "overloaded"
    );
    drop(client);
    until("the place is free", || queue.pending() == 0).await;
    assert!(!job.reply("nobody there"));

    let mut client = server.connect("/").await;
    client.send("z").await;
    next(&mut worker).await.reply("here");
    assert_eq!(client.text().await, "here");
}

#[tokio::test]
async fn fire_and_forget_publishes_without_a_reply() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(channel("/", queue.clone().no_reply()))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let job = next(&mut worker).await;
    assert_eq!(job.message().as_text(), Some("x"));
    assert!(!job.expects_reply() && !job.reply("y"));
    client.silent().await;
    until("the place is free", || queue.pending() == 0).await;
}

#[tokio::test]
async fn topic_and_headers_are_made_of_the_request() {
    let broker = Memory::new();
    let mut worker = broker.worker("orders.buy");
    let queue = Queue::new(broker, "unused")
        .topic_by(|req| format!("orders.{}", req.key()))
        .header_with("length", |req| req.message().len().to_string())
        .routing_headers();
    let server = serve(gateway!(channel("/", parser = JsonKey::at("/do"), queue))).await;
    let mut client = server.connect("/").await;
    client.send(r#"{"do":"buy"}"#).await;
    let job = next(&mut worker).await;
    assert_eq!(job.topic(), "orders.buy");
    assert_eq!(job.header("length"), Some("12"));
    assert_eq!(job.header("key"), Some("buy"));
    assert!(
        job.header("connection")
            .is_some_and(|id| id.parse::<u64>().is_ok())
    );
    job.reply("ok");
    assert_eq!(client.text().await, "ok");

    for key in ["a b", "a\r\nPUB x", "a\0", "a\u{85}", &"a".repeat(300)] {
        let reply = client.ask_json(json!({ "do": key })).await;
        assert_eq!(reply["error"]["code"], "bad_request", "{key:?}");
    }
}

#[tokio::test]
async fn a_line_break_in_client_data_does_not_reach_a_header() {
    let (queue, _worker) = orders();
    let queue = queue.routing_headers();
    let server = serve(gateway!(channel("/", parser = JsonKey::at("/do"), queue))).await;
    let mut client = server.connect("/").await;
    for key in ["a\r\nreply_to: b", "a\nb", "\0"] {
        let reply = client.ask_json(json!({ "do": key })).await;
        assert_eq!(reply["error"]["code"], "bad_request", "{key:?}");
    }
}

#[tokio::test]
async fn senseless_settings_are_mistakes_when_the_gateway_is_checked() {
    let queue = || Queue::new(Memory::new(), "orders");
    let zero = std::hint::black_box(Duration::ZERO);
    for (queue, part) in [
        (queue().topic(""), "empty"),
        (queue().topic("two words"), "white space"),
        (queue().timeout(zero), "timeout"),
        (queue().publish_timeout(zero), "publish_timeout"),
        (queue().max_pending(0), "max_pending"),
        (queue().max_reply_size(0), "max_reply_size"),
        (
            queue().header_with("reply_to", |_| String::new()),
            "`Queue` uses it",
        ),
        (
            queue().header_with("a b", |_| String::new()),
            "name of a header of a `Queue`",
        ),
    ] {
        let mistakes = gateway!(channel("/", queue)).check().expect_err(part);
        let text = mistakes[0].to_string();
        assert!(text.contains("`Queue") && text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn replies_of_a_queue_precede_the_close_of_a_drain() {
    let (queue, mut worker) = orders();
    let server = serve(gateway!(channel("/", queue))).await;
    let mut client = server.connect("/").await;
    let mut jobs = Vec::new();
    for n in 0..10 {
        client.send(n.to_string()).await;
        jobs.push(next(&mut worker).await);
    }
    server.handle.drain();
    for job in jobs {
        assert!(job.reply(job.message().clone()));
    }
    for n in 0..10 {
        assert_eq!(client.text().await, n.to_string());
    }
    assert_eq!(client.closed().await.0, 1012);
    server.ended().await.expect("a clean end");
}

#[tokio::test]
async fn messages_wait_for_a_worker_when_other_workers_leave() {
    let broker = Memory::new();
    let queue = Queue::new(broker.clone(), "orders");
    let server = serve(gateway!(channel("/", queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("one").await;
    until("it waits", || queue.pending() == 1).await;
    drop(broker.worker("orders"));
    let mut worker = broker.worker("orders");
    next(&mut worker).await.reply("first");
    assert_eq!(client.text().await, "first");

    drop(broker.worker("orders"));
    client.send("two").await;
    next(&mut worker).await.reply("second");
    assert_eq!(client.text().await, "second");
}

#[tokio::test]
async fn abandoned_messages_are_not_processed_and_make_room() {
    let broker = Memory::with_capacity(2);
    let queue = Queue::new(broker.clone(), "orders").timeout(Duration::from_millis(30));
    let server = serve(gateway!(channel("/", errors = Json, queue))).await;
    let mut client = server.connect("/").await;
    for _ in 0..6 {
        client.send("stale").await;
    }
    for _ in 0..6 {
        let code = client.json().await["error"]["code"].clone();
        assert!(code == "timed_out" || code == "upstream_lost", "{code}");
    }
    let mut worker = broker.worker("orders");
    client.send("fresh").await;
    let job = next(&mut worker).await;
    assert_eq!(job.message().as_text(), Some("fresh"));
}
