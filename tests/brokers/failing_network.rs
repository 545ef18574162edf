//! Queues over a network that fails.

use super::super::*;

/// Requests over a line to the broker that is cut, reset, dead or closed in the middle: each of them has exactly one
/// outcome, and the gateway works again when the line does. Kafka is not among these: its brokers tell clients
/// where to connect, which is past the proxy.
async fn outlives_its_line<T: Transport>(proxy: &Chaos, queue: Queue<T>) {
    let queue = queue
        .timeout(Duration::from_secs(1))
        .publish_timeout(Duration::from_millis(500));
    let server = gateway(queue.clone()).await;
    for (name, fault) in [
        ("cut", Chaos::cut as fn(&Chaos)),
        ("reset", Chaos::reset),
        ("half open", Chaos::half_open),
        ("refuse", Chaos::refuse),
    ] {
        works(&server).await;
        let asking = Asking::default();
        let client = server.connect("/").await;
        let asks = tokio::spawn(asking.clone().asks(client));
        reaches(&asking.answered, 30).await;
        fault(proxy);
        if name == "refuse" {
            proxy.reset();
        }
        sleep(Duration::from_millis(200)).await;
        proxy.calm();
        asking.is_over.store(true, Ordering::SeqCst);
        asks.await.expect("one outcome for each");
        eprintln!("{name}: {asking:?}");
        until("nothing is pending", || queue.pending() == 0).await;
    }
    works(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_queue_survives_a_failing_network_to_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        let proxy = Chaos::to(broker.addr()).await;
        let (url, topic) = (broker.url(), name("redis-line"));
        let queue = Queue::redis(broker.url_through(&proxy), topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::redis::serve(&url, &topic, echo).await }
        });
        outlives_its_line(&proxy, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_queue_survives_a_failing_network_to_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        let proxy = Chaos::to(broker.addr()).await;
        let (url, topic) = (broker.url(), name("nats-line"));
        let queue = Queue::nats(broker.url_through(&proxy), topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::nats::serve(&url, &topic, echo).await }
        });
        outlives_its_line(&proxy, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_queue_survives_a_failing_network_to_rabbitmq() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        let proxy = Chaos::to(broker.addr()).await;
        let (url, topic) = (broker.url(), name("amqp-line"));
        let queue = Queue::amqp(broker.url_through(&proxy), topic.clone());
        employ(move || {
            let (url, topic) = (url.clone(), topic.clone());
            async move { worker::amqp::serve(&url, &topic, echo).await }
        });
        outlives_its_line(&proxy, queue).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn a_queue_survives_a_failing_network_to_kafka() {
    built_with!("kafka", {
        let (broker, proxy) = Broker::kafka_behind_a_proxy().await;
        let queue = brokers::employed::kafka(&broker, echo);
        outlives_its_line(&proxy, queue).await;
    });
}
