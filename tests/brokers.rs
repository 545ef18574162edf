//! Queues over real brokers, which are killed and started again.

#![cfg_attr(
    not(any(
        feature = "amqp",
        feature = "kafka",
        feature = "nats",
        feature = "redis"
    )),
    allow(dead_code, unused_imports)
)]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{
    Client, TestServer, broker::Broker, chaos::Chaos, example::Example, serve, soon, until,
};

/// The workers are those of the example `queue`.
#[path = "../examples/worker"]
mod worker {
    #[cfg(feature = "amqp")]
    pub(crate) mod amqp;
    #[cfg(feature = "kafka")]
    pub(crate) mod kafka;
    #[cfg(feature = "nats")]
    pub(crate) mod nats;
    #[cfg(feature = "redis")]
    pub(crate) mod redis;

    pub(crate) type Answer = fn(&[u8]) -> Vec<u8>;
    pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
}

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
const CLIENTS: usize = 10;
/// Of each client, at least.
const REQUESTS: usize = 100;
const WINDOW: usize = 5;

fn echo(payload: &[u8]) -> Vec<u8> {
    payload.to_vec()
}

/// Keeps a worker at work, whatever happens to its connection.
fn employ<F, Fut>(serve: F)
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), worker::Error>> + Send,
{
    tokio::spawn(async move {
        loop {
            // What breaks a connection is what is tested here.
            let _ = serve().await;
            sleep(Duration::from_millis(50)).await;
        }
    });
}

fn name(prefix: &str) -> String {
    format!("{prefix}-{}", std::process::id())
}

async fn gateway<T: Transport>(queue: Queue<T>) -> TestServer {
    serve(gateway!(channel(
        "/",
        concurrency = 100,
        parser = JsonKey::at("/do").id("/id"),
        queue,
    )))
    .await
}

/// The next message that is no ping, however long it takes.
async fn next(client: &mut Client) -> Frame {
    let next = async {
        loop {
            let frame = client.socket.next().await.expect("a reply");
            match frame.expect("a reply") {
                Frame::Ping(_) => {}
                frame => return frame,
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a reply")
}

async fn json(client: &mut Client) -> Value {
    serde_json::from_slice(&next(client).await.into_data()).expect("JSON")
}

/// Asks until there is an answer that is no error.
async fn works(server: &TestServer) {
    let mut client = server.connect("/").await;
    let question = json!({"do": "ask", "id": "works?"});
    let works = async {
        loop {
            client.send(question.to_string()).await;
            let answer = json(&mut client).await;
            if answer == question {
                break;
            }
            assert!(!answer["error"].is_null(), "{answer}");
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, works).await.expect("it works in the end");
}

/// Text, binary and empty messages come back as they are.
async fn passes_everything(server: &TestServer) {
    let mut client = server.connect("/").await;
    let long = format!(r#"{{"do":"ask","text":"{}"}}"#, "é".repeat(10_000));
    for message in [
        Frame::text(r#"{"do":"ask"}"#),
        Frame::binary(br#"{"do":"ask"}"#.to_vec()),
        Frame::text(long.clone()),
        Frame::binary(long.into_bytes()),
    ] {
        client.send(message.clone()).await;
        assert!(next(&mut client).await == message);
    }
}

/// At least 1 000 requests of 10 clients, the broker killed and started again meanwhile: each of them has exactly one outcome, and
/// the gateway works again.
async fn outlives<T: Transport>(mut broker: Broker, queue: Queue<T>) {
    let queue = queue
        .timeout(Duration::from_secs(5))
        .publish_timeout(Duration::from_millis(500));
    let server = gateway(queue.clone()).await;
    works(&server).await;
    passes_everything(&server).await;

    let asking = Asking::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = server.connect("/").await;
        clients.spawn(asking.clone().asks(client));
    }
    reaches(&asking.answered, 300).await;
    let mut broker = tokio::task::spawn_blocking(move || {
        broker.kill();
        broker
    })
    .await
    .expect("killed");
    reaches(&asking.failed, 1).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.start();
        broker
    });
    let broker = broker.await.expect("started");
    asking.is_over.store(true, Ordering::SeqCst);
    clients.join_all().await;
    eprintln!("{asking:?}, {:?}", queue.dropped());
    works(&server).await;
    assert_eq!(queue.pending(), 0);
    assert_eq!(queue.dropped().foreign, 0);
    drop(broker);
}

/// What clients have seen that send requests until it is over.
#[derive(Debug, Default, Clone)]
struct Asking {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Asking {
    /// Sends requests, a few at the same time: each has exactly one outcome.
    async fn asks(self, mut client: Client) {
        let mut is_pending = Vec::new();
        for received in 0.. {
            while is_pending.len() - received < WINDOW
                && (is_pending.len() < REQUESTS || !self.is_over.load(Ordering::SeqCst))
            {
                let question = json!({"do": "ask", "id": is_pending.len()}).to_string();
                client.socket.send(question.into()).await.expect("send");
                is_pending.push(true);
            }
            if received == is_pending.len() {
                break;
            }
            let outcome = json(&mut client).await;
            let id = outcome["id"].as_u64().expect("an id") as usize;
            assert!(
                std::mem::replace(&mut is_pending[id], false),
                "{outcome} comes twice"
            );
            if outcome["error"].is_null() {
                assert_eq!(outcome["do"], "ask");
                self.answered.fetch_add(1, Ordering::SeqCst);
            } else {
                let code = outcome["error"]["code"].as_str().expect("a code");
                assert!(
                    ["upstream_unreachable", "upstream_lost", "timed_out"].contains(&code),
                    "{code}"
                );
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        client.silent().await;
    }
}

async fn reaches(count: &AtomicUsize, goal: usize) {
    let reaches = async {
        while count.load(Ordering::SeqCst) < goal {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, reaches).await.expect("it goes on");
}

/// A message that nobody answers is published all the same, and takes no place after that.
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "nats",
    feature = "redis"
))]
async fn fire_and_forget<T: Transport>(queue: Queue<T>) {
    let server = gateway(queue.clone().no_reply()).await;
    let mut client = server.connect("/").await;
    client.send(r#"{"do":"ask"}"#).await;
    client.silent().await;
    let free = async {
        while queue.pending() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("a free place");
}

macro_rules! built_with {
    ($feature:literal, $body:block) => {{
        #[cfg(feature = $feature)]
        $body
        #[cfg(not(feature = $feature))]
        panic!("built without the feature {}: run tests/run", $feature);
    }};
}

mod brokers {
    mod bounds;
    mod credentials;
    mod dead_line;
    mod drain;
    pub(super) mod employed;
    mod examples;
    mod failing_network;
    mod keep_alive;
    mod malformed;
    mod progress;
    mod replies;
    mod tls;
    mod traces;
    mod workers;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_queue_survives_a_restart_of_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        let (url, topic) = (broker.url(), name("redis"));
        let queue = Queue::redis(&url, topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::redis::serve(&url, &topic, echo).await }
        });
        fire_and_forget(queue.clone()).await;
        outlives(broker, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_queue_survives_a_restart_of_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        let (url, topic) = (broker.url(), name("nats"));
        let queue = Queue::nats(&url, topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::nats::serve(&url, &topic, echo).await }
        });
        fire_and_forget(queue.clone()).await;
        outlives(broker, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_queue_survives_a_restart_of_rabbitmq() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        let (url, topic) = (broker.url(), name("amqp"));
        let queue = Queue::amqp(&url, topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::amqp::serve(&url, &topic, echo).await }
        });
        // The worker has declared the queue by then.
        works(&gateway(queue.clone()).await).await;
        fire_and_forget(queue.clone()).await;
        outlives(broker, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn a_queue_survives_a_restart_of_kafka() {
    built_with!("kafka", {
        let broker = Broker::kafka();
        let (url, topic, replies) = (broker.url(), name("kafka"), name("kafka-replies"));
        let queue = Queue::kafka(&url, topic.clone(), replies.clone());
        employ(move || {
            let (url, topic, replies) = (url.clone(), topic.clone(), replies.clone());
            async move {
                worker::kafka::create_topics(&url, &[&topic, &replies]).await?;
                worker::kafka::serve(&url, &topic, echo).await
            }
        });
        fire_and_forget(queue.clone()).await;
        outlives(broker, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS: run tests/run"]
async fn a_request_that_no_worker_listens_to_fails_at_once() {
    built_with!("nats", {
        let broker = Broker::nats();
        let server = gateway(Queue::nats(broker.url(), "nobody")).await;
        let mut client = server.connect("/").await;
        let reply = client.ask_json(json!({"do": "ask"})).await;
        assert_eq!(reply["error"]["code"], "upstream_unreachable");
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_request_for_a_queue_that_does_not_exist_fails_at_once() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        let nowhere = Queue::amqp(broker.url(), name("nowhere")).publish_timeout(PATIENCE);
        for queue in [nowhere.clone(), nowhere.no_reply()] {
            let server = gateway(queue).await;
            let mut client = server.connect("/").await;
            let reply = client.ask_json(json!({"do": "ask"})).await;
            assert_eq!(reply["error"]["code"], "upstream_unreachable");
        }
    });
}
