//! Balancing and queues that did not survive failures.

use std::{
    collections::HashSet,
    hint::black_box,
    sync::{Arc, OnceLock},
};

use wasabi::{
    Error,
    prelude::*,
    queue::{Inbox, Memory},
};
use wasabi_tests::{serve, soon};

async fn first() -> &'static str {
    "first"
}

async fn second() -> &'static str {
    "second"
}

#[tokio::test]
async fn weights_of_0_are_mistakes_and_never_a_division() {
    let weight = black_box(0);
    let gateway = gateway!(channel("/v1", balance([(1, first), (weight, second)])));
    assert_weight_of_0(&gateway);
    let none = Balance::new([(1, NoRoute), (weight, NoRoute)]);
    assert_weight_of_0(&gateway!(channel("/v1", none)));
}

fn assert_weight_of_0(gateway: &Gateway) {
    let mistakes = gateway.check().expect_err("a mistake");
    let [mistake] = mistakes.as_slice() else {
        panic!("expected one mistake, got {mistakes:?}");
    };
    let text = mistake.to_string();
    assert!(
        text.contains("/v1") && text.contains("a weight must be") && text.contains("has 0"),
        "{text}"
    );
}

#[tokio::test]
async fn weights_of_1_to_9_are_kept_by_requests_in_sequence() {
    let server = serve(gateway!(channel("/", balance([(1, first), (9, second)])))).await;
    let mut client = server.connect("/").await;
    let mut firsts = 0;
    for _ in 0..100 {
        firsts += usize::from(client.ask("x").await == "first");
    }
    assert_eq!(firsts, 10);
}

#[tokio::test]
async fn a_duplicate_queue_reply_is_dropped_and_counted() {
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let queue = Queue::new(broker, "orders");
    let server = serve(gateway!(channel("/", queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let job = soon(worker.next()).await;
    assert!(job.reply("first"));
    assert!(!job.reply("second"));
    assert_eq!(client.text().await, "first");
    client.silent().await;
    assert_eq!(queue.dropped().unmatched, 1);
    assert_eq!(queue.dropped().foreign, 0);
}

#[tokio::test]
async fn a_synchronous_queue_reply_does_not_deadlock() {
    let replies: Arc<OnceLock<Inbox>> = Arc::default();
    let queue = Queue::callback({
        let replies = Arc::clone(&replies);
        move |req: Request, id| {
            let inbox = replies.get().expect("set below");
            assert!(inbox.reply(id, req.message().clone()));
            async { Ok::<_, Error>(()) }
        }
    });
    let _ = replies.set(queue.inbox());
    let server = serve(gateway!(channel("/", queue))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("now").await, "now");
}

#[tokio::test]
async fn queue_ids_do_not_collide_between_replicas() {
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let queue = Queue::new(broker.clone(), "orders");
        let server = serve(gateway!(channel("/", queue))).await;
        let mut client = server.connect("/").await;
        for _ in 0..20 {
            client.send("x").await;
            let job = soon(worker.next()).await;
            assert!(ids.insert(job.id().to_string()), "{} twice", job.id());
            job.reply("y");
            client.text().await;
        }
    }
}
