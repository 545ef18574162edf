//! Gateways that drain under load, with a broker behind.

use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{broker::Broker, drain, serve};

use super::{
    super::{PATIENCE, echo, works},
    employed,
};

async fn drains<T: Transport>(queue: Queue<T>) {
    let queue = queue.timeout(PATIENCE).publish_timeout(PATIENCE);
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        queue.clone(),
    )))
    .await;
    works(&server).await;
    drain::loses_nothing(server).await;
    assert_eq!(queue.pending(), 0);
    assert_eq!(queue.dropped(), Default::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_drain_loses_no_request_in_flight_over_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        drains(employed::redis(&broker, echo)).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_drain_loses_no_request_in_flight_over_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        drains(employed::nats(&broker, echo)).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_drain_loses_no_request_in_flight_over_rabbitmq() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        drains(employed::amqp(&broker, echo)).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn a_drain_loses_no_request_in_flight_over_kafka() {
    built_with!("kafka", {
        let broker = Broker::kafka();
        drains(employed::kafka(&broker, echo)).await;
    });
}
