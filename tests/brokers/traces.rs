//! The trace context of a request, in the message that a consumer gets.

use serde_json::json;
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{
    broker::Broker,
    serve, soon,
    traces::{Exporting, traceparent},
    until,
};

use super::super::{PATIENCE, name, worker};

/// Publishes two messages and returns what their consumer has to see: the contexts of the requests' spans.
async fn publish<T: Transport>(exporting: &Exporting, queue: Queue<T>) -> [String; 2] {
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Trace::new()],
        queue.timeout(PATIENCE).publish_timeout(PATIENCE).no_reply(),
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 0..2 {
        client
            .send(json!({"do": "note", "id": id}).to_string())
            .await;
        until("it is published", || exporting.ended().len() > id).await;
    }
    let contexts = [0, 1].map(|id| traceparent(&exporting.of(id)));
    assert_ne!(contexts[0], contexts[1]);
    contexts
}

#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn a_consumer_of_nats_sees_the_trace_context() {
    built_with!("nats", {
        use futures_util::StreamExt;

        let exporting = Exporting::all();
        let broker = Broker::nats();
        let consumer = async_nats::connect(broker.url()).await.expect("connected");
        let mut messages = consumer.subscribe("notes").await.expect("subscribed");
        consumer.flush().await.expect("subscribed");
        for context in publish(&exporting, Queue::nats(broker.url(), "notes")).await {
            let message = soon(messages.next()).await.expect("a message");
            let headers = message.headers.expect("headers");
            let found = headers.get("traceparent").expect("a context");
            assert_eq!(found.as_str(), context);
        }
    });
}

#[tokio::test]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_consumer_of_rabbitmq_sees_the_trace_context() {
    built_with!("amqp", {
        use lapin::{options::*, types::FieldTable};

        let exporting = Exporting::all();
        let broker = Broker::rabbitmq().await;
        let consumer = lapin::Connection::connect(&broker.url(), Default::default()).await;
        let consumer = consumer.expect("connected");
        let channel = consumer.create_channel().await.expect("a channel");
        let topic = name("amqp-notes");
        let options = QueueDeclareOptions::default();
        let declared = channel.queue_declare(topic.as_str().into(), options, FieldTable::default());
        declared.await.expect("a queue");
        for context in publish(&exporting, Queue::amqp(broker.url(), topic.clone())).await {
            let message = channel.basic_get(topic.as_str().into(), BasicGetOptions::default());
            let message = message.await.expect("an answer").expect("a message");
            let headers = message.properties.headers().as_ref().expect("headers");
            let found = headers.inner().get("traceparent").expect("a context");
            let found = found.as_long_string().expect("text");
            assert_eq!(found.as_bytes(), context.as_bytes());
        }
    });
}

#[tokio::test]
#[ignore = "needs Tansu: run tests/run"]
async fn a_consumer_of_kafka_sees_the_trace_context() {
    built_with!("kafka", {
        use rdkafka::{
            ClientConfig, Message as _,
            consumer::{Consumer, StreamConsumer},
            message::Headers,
        };

        let exporting = Exporting::all();
        let broker = Broker::kafka();
        let (topic, replies) = (name("notes"), name("notes-replies"));
        let topics = [topic.as_str(), &replies];
        let created = worker::kafka::create_topics(&broker.url(), &topics).await;
        created.expect("topics");
        let queue = Queue::kafka(broker.url(), topic.clone(), replies);
        let contexts = publish(&exporting, queue).await;
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.url())
            .set("group.id", "notes")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let consumer = worker::kafka::Elsewhere::new(consumer);
        let mut partitions = rdkafka::TopicPartitionList::new();
        let from = rdkafka::Offset::Beginning;
        let added = partitions.add_partition_offset(&topic, 0, from);
        added.expect("a partition");
        consumer.assign(&partitions).expect("assigned");
        for context in contexts {
            let record = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            let record = record.expect("a record").expect("a record");
            let mut headers = record.headers().expect("headers").iter();
            let found = headers.find(|header| header.key == "traceparent");
            let found = found.and_then(|header| header.value);
            assert_eq!(found, Some(context.as_bytes()));
        }
    });
}

#[tokio::test]
#[ignore = "needs Redis: run tests/run"]
async fn a_consumer_of_redis_sees_the_trace_context() {
    built_with!("redis", {
        use std::collections::HashMap;

        let exporting = Exporting::all();
        let broker = Broker::redis();
        let contexts = publish(&exporting, Queue::redis(broker.url(), "notes")).await;
        let consumer = redis::Client::open(broker.url()).expect("a URL");
        let mut consumer = consumer
            .get_multiplexed_async_connection()
            .await
            .expect("connected");
        let entries: Vec<(String, HashMap<String, String>)> = redis::cmd("XRANGE")
            .arg(&["notes", "-", "+"])
            .query_async(&mut consumer)
            .await
            .expect("entries");
        let found = entries
            .iter()
            .map(|(_, fields)| fields["traceparent"].clone());
        assert_eq!(found.collect::<Vec<_>>(), contexts);
    });
}
