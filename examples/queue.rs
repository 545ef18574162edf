//! A gateway over a message queue: requests go to a broker, and the answers of workers come back.
//!
//! Run `cargo run --example queue`, then paste the commands that it prints: broker and worker are in this program. With
//! a real broker:
//!
//! ```sh
//! cargo run -p wasabi-examples --example queue --features redis -- --redis redis://127.0.0.1:6379/
//! cargo run -p wasabi-examples --example queue --features amqp -- --amqp amqp://guest:guest@127.0.0.1:5672/%2f
//! cargo run -p wasabi-examples --example queue --features nats -- --nats nats://127.0.0.1:4222
//! cargo run -p wasabi-examples --example queue --features kafka -- --kafka 127.0.0.1:9092
//! ```
//!
//! The workers are in `examples/worker/` and do not depend on wasabi. With `--only gateway` and `--only worker` the
//! gateway and the workers run as separate processes, as many as you like.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use wasabi::{
    prelude::*,
    queue::{Memory, Transport},
};

mod worker {
    #[cfg(feature = "amqp")]
    pub(crate) mod amqp;
    #[cfg(feature = "kafka")]
    pub(crate) mod kafka;
    #[cfg(feature = "nats")]
    pub(crate) mod nats;
    #[cfg(feature = "redis")]
    pub(crate) mod redis;

    #[allow(dead_code, reason = "without a real broker there is no worker for one")]
    pub(crate) type Answer = fn(&[u8]) -> Vec<u8>;
    pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
}

#[derive(Parser)]
#[command(about = "A WebSocket gateway over a message queue, and a worker")]
struct Args {
    /// Where the gateway listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
    /// Only this part of it; needs a real broker.
    #[arg(long, requires = "broker")]
    only: Option<Part>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Gateway,
    Worker,
}

/// None of them is a broker in this program.
#[derive(clap::Args)]
#[group(id = "broker", multiple = false)]
struct Broker {
    /// The URL of a Redis.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The URL of a RabbitMQ.
    #[arg(long, value_name = "URL")]
    amqp: Option<String>,
    /// The URL of a NATS server.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// The host and port of a Kafka broker.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

/// The stream, queue, subject or topic that requests go to.
const ORDERS: &str = "orders";
/// The topic for replies, with Kafka.
#[cfg(feature = "kafka")]
const REPLIES: &str = "orders.replies";

/// The gateway, in front of this queue.
pub(crate) fn gateway<T: Transport>(orders: Queue<T>) -> Gateway {
    let orders = orders.timeout(Duration::from_secs(5)).routing_headers();
    gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/id"),
        match key {
            /// Places an order.
            "order.place" => orders.clone(),
            /// Notes that a client looks at an item; there is no reply.
            "order.view" => orders.no_reply(),
            _ => NoRoute,
        },
    ))
}

/// Makes a worker's answer to a message, whichever broker delivered it.
fn work(message: &[u8]) -> Vec<u8> {
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    println!("worker: {message}");
    let reply = json!({ "id": message["id"], "placed": message["item"] });
    reply.to_string().into_bytes()
}

/// A worker for the broker in this program.
async fn work_in_memory(broker: &Memory) -> Result<(), worker::Error> {
    let mut worker = broker.worker(ORDERS);
    loop {
        let job = worker.next().await;
        let reply = work(job.message().as_bytes());
        job.reply(String::from_utf8(reply)?);
    }
}

async fn run<T, W>(
    args: &Args,
    queue: Queue<T>,
    serve_worker: impl Fn() -> W,
) -> Result<(), worker::Error>
where
    T: Transport,
    W: Future<Output = Result<(), worker::Error>>,
{
    let working = async {
        loop {
            if let Err(error) = serve_worker().await {
                eprintln!("the worker starts again: {error}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    if args.only == Some(Part::Worker) {
        println!("working on {ORDERS}");
        return working.await;
    }
    let server = Server::bind(args.addr);
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!(
            "listening on ws://{addr}\ntry it (a view is noted by the worker, and nothing comes back):"
        );
        for message in [
            r#"{"action":"order.place","id":7,"item":"tea"}"#,
            r#"{"action":"order.view","item":"tea"}"#,
        ] {
            println!("  npx wscat -c ws://{addr}/ -w 1 -x '{message}'");
        }
    });
    let serving = server.serve(gateway(queue));
    if args.only == Some(Part::Gateway) {
        return Ok(serving.await?);
    }
    // The worker continues until the last reply has been delivered.
    tokio::select! {
        served = serving => Ok(served?),
        stopped = working => stopped,
    }
}

#[tokio::main]
async fn main() -> Result<(), worker::Error> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();

    match &args.broker {
        #[cfg(feature = "redis")]
        Broker {
            redis: Some(url), ..
        } => {
            let work = || worker::redis::serve(url, ORDERS, work);
            run(&args, Queue::redis(url, ORDERS), work).await
        }
        #[cfg(feature = "amqp")]
        Broker {
            amqp: Some(url), ..
        } => {
            let work = || worker::amqp::serve(url, ORDERS, work);
            run(&args, Queue::amqp(url, ORDERS), work).await
        }
        #[cfg(feature = "nats")]
        Broker {
            nats: Some(url), ..
        } => {
            let work = || worker::nats::serve(url, ORDERS, work);
            run(&args, Queue::nats(url, ORDERS), work).await
        }
        #[cfg(feature = "kafka")]
        Broker {
            kafka: Some(broker),
            ..
        } => {
            worker::kafka::create_topics(broker, &[ORDERS, REPLIES]).await?;
            let work = || worker::kafka::serve(broker, ORDERS, work);
            run(&args, Queue::kafka(broker, ORDERS, REPLIES), work).await
        }
        Broker {
            redis: None,
            amqp: None,
            nats: None,
            kafka: None,
        } => {
            let broker = Memory::new();
            run(&args, Queue::new(broker.clone(), ORDERS), || {
                work_in_memory(&broker)
            })
            .await
        }
        #[allow(
            unreachable_patterns,
            reason = "with every broker this matches nothing"
        )]
        _ => Err(
            "this program is built without that broker: add its feature, as in `--features redis`"
                .into(),
        ),
    }
}
