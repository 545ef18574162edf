//! Lines over which nothing passes any more, and nobody is told.

use serde_json::json;
use wasabi::{Queue, queue::Transport};
use wasabi_tests::{broker::Broker, chaos::Chaos};

use super::{
    super::{PATIENCE, echo, gateway, json as next_json, name, works},
    employed,
};

/// A request fails when the line is known to be dead, long before its time is over.
async fn notices_a_dead_line<T: Transport>(proxy: &Chaos, queue: Queue<T>) {
    let long = PATIENCE * 2;
    let server = gateway(queue.timeout(long).publish_timeout(long)).await;
    works(&server).await;
    let mut client = server.connect("/").await;
    proxy.half_open();
    client.send(json!({"do": "ask"}).to_string()).await;
    let reply = next_json(&mut client).await;
    assert_eq!(reply["error"]["code"], "upstream_lost", "{reply}");
    proxy.calm();
    works(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_dead_connection_to_redis_is_noticed() {
    built_with!("redis", {
        let broker = Broker::redis();
        let proxy = Chaos::to(broker.addr()).await;
        let _worker = employed::redis(&broker, echo);
        let transport = wasabi::queue::Redis::new(broker.url_through(&proxy));
        let queue = Queue::new(transport, name("redis"));
        notices_a_dead_line(&proxy, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_dead_connection_to_nats_is_noticed() {
    built_with!("nats", {
        let broker = Broker::nats();
        let proxy = Chaos::to(broker.addr()).await;
        let _worker = employed::nats(&broker, echo);
        let transport = wasabi::queue::Nats::new(broker.url_through(&proxy));
        let queue = Queue::new(transport, name("nats"));
        notices_a_dead_line(&proxy, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_dead_connection_to_rabbitmq_is_noticed() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        let proxy = Chaos::to(broker.addr()).await;
        let _worker = employed::amqp(&broker, echo);
        let transport = wasabi::queue::Amqp::new(broker.url_through(&proxy));
        let queue = Queue::new(transport, name("amqp"));
        notices_a_dead_line(&proxy, queue).await;
    });
}
