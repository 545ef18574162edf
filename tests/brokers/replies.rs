//! Replies that are late, come twice, or are for nobody, over each broker.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::Notify;
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{broker::Broker, serve, until};

use super::super::{PATIENCE, json as next_json, name, worker, works};

/// The ids that each request is answered with: nobody's, none at all, its own, and that again.
fn ids(own: &str) -> [&str; 4] {
    const NOBODYS: &str = "000000000000000000000000000000000000000000000007";
    [NOBODYS, "7", own, own]
}

/// Waits with the replies to late requests until the test says so.
async fn wait(request: &[u8], late: &Notify) {
    if request.windows(4).any(|word| word == b"late") {
        late.notified().await;
    }
}

async fn only_the_first_reply_counts<T: Transport>(queue: Queue<T>, late: Arc<Notify>) {
    let queue = queue.timeout(PATIENCE).publish_timeout(PATIENCE);
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "late" => queue.clone().timeout(Duration::from_millis(300)),
            _ => queue.clone(),
        },
    )))
    .await;
    works(&server).await;
    let settled = |foreign, unmatched| {
        let dropped = queue.dropped();
        queue.pending() == 0 && (dropped.foreign, dropped.unmatched) == (foreign, unmatched)
    };
    until("the first ones are counted", || settled(2, 1)).await;

    let mut client = server.connect("/").await;
    for id in 1..4 {
        let question = json!({"do": "ask", "id": id});
        client.send(question.to_string()).await;
        assert_eq!(next_json(&mut client).await, question);
        until("they are counted", || settled(2 + 2 * id, 1 + id)).await;
    }

    let reply = client.ask_json(json!({"do": "late", "id": 4})).await;
    assert_eq!(reply["error"]["code"], "timed_out");
    assert_eq!(queue.pending(), 0);
    late.notify_one();
    until("the late ones are counted", || settled(10, 6)).await;
    client.silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn only_the_first_reply_over_nats_counts() {
    built_with!("nats", {
        use futures_util::StreamExt;

        let broker = Broker::nats();
        let worker = async_nats::connect(broker.url()).await.expect("connected");
        let mut requests = worker.subscribe("orders").await.expect("subscribed");
        worker.flush().await.expect("subscribed");
        let late = Arc::new(Notify::new());
        let gate = Arc::clone(&late);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                wait(&request.payload, &gate).await;
                let reply_to = request.reply.expect("a reply address");
                let (inbox, own) = reply_to.rsplit_once('.').expect("with the id");
                for id in ids(own) {
                    let replied = worker.publish(format!("{inbox}.{id}"), request.payload.clone());
                    replied.await.expect("published");
                }
            }
        });
        only_the_first_reply_counts(Queue::nats(broker.url(), "orders"), late).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn only_the_first_reply_over_rabbitmq_counts() {
    built_with!("amqp", {
        use futures_util::StreamExt;
        use lapin::{BasicProperties, options::*, types::FieldTable};

        let broker = Broker::rabbitmq().await;
        let topic = name("amqp-replies");
        let worker = lapin::Connection::connect(&broker.url(), Default::default()).await;
        let worker = worker.expect("connected");
        let channel = worker.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions::default();
        let declared = channel.queue_declare(topic.as_str().into(), options, FieldTable::default());
        declared.await.expect("a queue");
        let options = BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        };
        let consumer = channel.basic_consume(
            topic.as_str().into(),
            "".into(),
            options,
            FieldTable::default(),
        );
        let mut requests = consumer.await.expect("a consumer");
        let late = Arc::new(Notify::new());
        let gate = Arc::clone(&late);
        tokio::spawn(async move {
            let _worker = worker;
            while let Some(Ok(request)) = requests.next().await {
                wait(&request.data, &gate).await;
                let reply_to = request.properties.reply_to().clone().expect("an address");
                let own = request.properties.correlation_id().clone().expect("an id");
                for id in ids(own.as_str()) {
                    let properties = BasicProperties::default().with_correlation_id(id.into());
                    let options = BasicPublishOptions::default();
                    let replied = channel.basic_publish(
                        "".into(),
                        reply_to.clone(),
                        options,
                        &request.data,
                        properties,
                    );
                    replied.await.expect("published");
                }
            }
        });
        only_the_first_reply_counts(Queue::amqp(broker.url(), topic), late).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn only_the_first_reply_over_redis_counts() {
    built_with!("redis", {
        use std::collections::HashMap;

        type Streams = Vec<(String, Vec<(String, HashMap<String, String>)>)>;

        let broker = Broker::redis();
        let worker = redis::Client::open(broker.url()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let worker = worker.get_multiplexed_async_connection_with_config(&patient);
        let mut worker = worker.await.expect("connected");
        let late = Arc::new(Notify::new());
        let gate = Arc::clone(&late);
        tokio::spawn(async move {
            let mut last = "0-0".to_owned();
            loop {
                let read: redis::RedisResult<Streams> = redis::cmd("XREAD")
                    .arg(&["COUNT", "1", "BLOCK", "0", "STREAMS", "orders", &last])
                    .query_async(&mut worker)
                    .await;
                let Ok(streams) = read else {
                    break;
                };
                for (entry, request) in streams.into_iter().flat_map(|(_, entries)| entries) {
                    wait(request["payload"].as_bytes(), &gate).await;
                    let mut commands = redis::pipe();
                    for id in ids(&request["id"]) {
                        let payload = request["payload"].as_str();
                        let fields = [&request["reply_to"], "*", "id", id, "payload", payload];
                        commands.cmd("XADD").arg(&fields);
                    }
                    commands.exec_async(&mut worker).await.expect("replied");
                    last = entry;
                }
            }
        });
        only_the_first_reply_counts(Queue::redis(broker.url(), "orders"), late).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn only_the_first_reply_over_kafka_counts() {
    built_with!("kafka", {
        use rdkafka::{
            ClientConfig, Message as _, Offset, TopicPartitionList,
            consumer::{Consumer, StreamConsumer},
            message::{Header, Headers, OwnedHeaders},
            producer::{FutureProducer, FutureRecord},
        };

        let broker = Broker::kafka();
        let created = worker::kafka::create_topics(&broker.url(), &["orders", "replies"]).await;
        created.expect("topics");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.url());
        let producer: FutureProducer = config.create().expect("a producer");
        let producer = worker::kafka::Elsewhere::new(producer);
        config
            .set("group.id", "orders")
            .set("enable.auto.commit", "false");
        let requests: StreamConsumer = config.create().expect("a consumer");
        let requests = worker::kafka::Elsewhere::new(requests);
        let mut partitions = TopicPartitionList::new();
        let added = partitions.add_partition_offset("orders", 0, Offset::Beginning);
        added.expect("a partition");
        requests.assign(&partitions).expect("assigned");
        let late = Arc::new(Notify::new());
        let gate = Arc::clone(&late);
        tokio::spawn(async move {
            while let Ok(request) = requests.recv().await {
                let payload = request.payload().unwrap_or_default();
                wait(payload, &gate).await;
                let mut headers = request.headers().expect("headers").iter();
                let own = headers.find(|header| header.key == "id");
                let own = own.and_then(|header| header.value).expect("an id");
                for id in ids(std::str::from_utf8(own).expect("text")) {
                    let header = Header {
                        key: "id",
                        value: Some(id),
                    };
                    let record = FutureRecord::<(), _>::to("replies")
                        .payload(payload)
                        .headers(OwnedHeaders::new().insert(header));
                    let sent = producer.send(record, PATIENCE).await;
                    sent.expect("published");
                }
            }
        });
        let queue = Queue::kafka(broker.url(), "orders", "replies");
        only_the_first_reply_counts(queue, late).await;
    });
}
