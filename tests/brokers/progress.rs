//! Replies in parts, over each broker.

use std::time::Duration;

use serde_json::{Value, json};
use wasabi::{
    prelude::*,
    queue::{Memory, Transport},
};
use wasabi_tests::{broker::Broker, until};

use super::super::{PATIENCE, gateway, json as next_json, name, worker, works};

/// A part as a worker sends it: its number if more follow, its kind, and its payload.
struct Sent(Option<&'static str>, &'static str, Vec<u8>);

/// What a worker replies, by what it is asked to do.
fn replies(request: &[u8]) -> Vec<Sent> {
    let question: Value = serde_json::from_slice(request).expect("JSON");
    let text = |more, text: &str| Sent(more, "text", text.into());
    match question["do"].as_str() {
        // With one that comes again, and one after the end.
        Some("count") => vec![
            text(Some("1"), r#"{"part":1}"#),
            Sent(Some("2"), "binary", br#"{"part":2}"#.to_vec()),
            text(Some("1"), r#"{"part":"again"}"#),
            text(None, r#"{"part":3}"#),
            text(Some("4"), r#"{"part":"late"}"#),
        ],
        Some("fail") => vec![
            text(Some("1"), r#"{"part":1}"#),
            Sent(None, "error", b"no paper".to_vec()),
        ],
        Some("skip") => vec![
            text(Some("1"), r#"{"part":1}"#),
            text(Some("3"), r#"{"part":3}"#),
        ],
        Some("stall") => vec![text(Some("1"), r#"{"part":1}"#)],
        _ => vec![Sent(None, "text", request.to_vec())],
    }
}

async fn comes_in_parts<T: Transport>(queue: Queue<T>) {
    let queue = queue.timeout(PATIENCE).publish_timeout(PATIENCE);
    works(&gateway(queue.clone()).await).await;
    let server = gateway(queue.clone()).await;
    let mut client = server.connect("/").await;
    let unmatched = queue.dropped().unmatched;
    client
        .send(json!({"do": "count", "id": 1}).to_string())
        .await;
    for part in 1..=3 {
        assert_eq!(next_json(&mut client).await, json!({"part": part}));
    }
    let settled = || queue.dropped().unmatched == unmatched + 2 && queue.pending() == 0;
    until("what is too much is counted", settled).await;

    for (does, code) in [("fail", "job_failed"), ("skip", "upstream_invalid")] {
        client
            .send(json!({"do": does, "id": does}).to_string())
            .await;
        assert_eq!(next_json(&mut client).await, json!({"part": 1}));
        let end = next_json(&mut client).await;
        assert_eq!(
            (&end["id"], &end["error"]["code"]),
            (&json!(does), &json!(code))
        );
        if does == "fail" {
            assert_eq!(end["error"]["message"], "no paper");
        }
    }

    // The time counts between two parts.
    let server = gateway(queue.clone().timeout(Duration::from_secs(3))).await;
    let mut client = server.connect("/").await;
    client
        .send(json!({"do": "stall", "id": 2}).to_string())
        .await;
    assert_eq!(next_json(&mut client).await, json!({"part": 1}));
    let end = next_json(&mut client).await;
    assert_eq!(end["error"]["code"], "timed_out");
    until("nothing is pending", || queue.pending() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_function_comes_in_parts() {
    let (jobs, mut inbox) = tokio::sync::mpsc::channel(10);
    let queue = Queue::callback(move |req: Request, id| {
        let jobs = jobs.clone();
        async move {
            jobs.send((id, req.payload()))
                .await
                .map_err(wasabi::BoxError::from)
        }
    });
    let to = queue.inbox();
    tokio::spawn(async move {
        while let Some((id, request)) = inbox.recv().await {
            for Sent(more, kind, payload) in replies(&request) {
                let payload = String::from_utf8(payload).expect("text");
                match more {
                    Some(more) => to.part(id, more.parse().expect("a number"), payload),
                    None if kind == "error" => {
                        to.fail(id, wasabi::Error::new("job_failed", payload))
                    }
                    None => to.reply(id, payload),
                };
            }
        }
    });
    comes_in_parts(queue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_inside_the_process_comes_in_parts() {
    let broker = Memory::new();
    let mut worker = broker.worker("jobs");
    tokio::spawn(async move {
        loop {
            let job = worker.next().await;
            for Sent(more, kind, payload) in replies(job.message().as_bytes()) {
                let payload = String::from_utf8(payload).expect("text");
                match more {
                    Some(more) => job.part(more.parse().expect("a number"), payload),
                    None if kind == "error" => job.fail(wasabi::Error::new("job_failed", payload)),
                    None => job.reply(payload),
                };
            }
        }
    });
    comes_in_parts(Queue::new(broker, "jobs")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_job_over_redis_comes_in_parts() {
    built_with!("redis", {
        use std::collections::HashMap;

        type Streams = Vec<(String, Vec<(String, HashMap<String, Vec<u8>>)>)>;

        let broker = Broker::redis();
        let worker = redis::Client::open(broker.url()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let worker = worker.get_multiplexed_async_connection_with_config(&patient);
        let mut worker = worker.await.expect("connected");
        tokio::spawn(async move {
            let mut last = "0-0".to_owned();
            loop {
                let read: redis::RedisResult<Streams> = redis::cmd("XREAD")
                    .arg(&["COUNT", "1", "BLOCK", "0", "STREAMS", "jobs", &last])
                    .query_async(&mut worker)
                    .await;
                let Ok(streams) = read else {
                    break;
                };
                for (entry, request) in streams.into_iter().flat_map(|(_, entries)| entries) {
                    let mut commands = redis::pipe();
                    for Sent(more, kind, payload) in replies(&request["payload"]) {
                        let add = commands.cmd("XADD").arg(&request["reply_to"]).arg("*");
                        add.arg("id").arg(&request["id"]);
                        add.arg("kind").arg(kind).arg("payload").arg(payload);
                        if let Some(more) = more {
                            add.arg("more").arg(more);
                        }
                    }
                    commands.exec_async(&mut worker).await.expect("replied");
                    last = entry;
                }
            }
        });
        comes_in_parts(Queue::redis(broker.url(), "jobs")).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_job_over_nats_comes_in_parts() {
    built_with!("nats", {
        use futures_util::StreamExt;

        let broker = Broker::nats();
        let worker = async_nats::connect(broker.url()).await.expect("connected");
        let mut requests = worker.subscribe("jobs").await.expect("subscribed");
        worker.flush().await.expect("subscribed");
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let reply_to = request.reply.expect("a reply address");
                for Sent(more, kind, payload) in replies(&request.payload) {
                    let mut headers = async_nats::HeaderMap::new();
                    headers.insert("kind", kind);
                    if let Some(more) = more {
                        headers.insert("more", more);
                    }
                    let payload = payload.into();
                    let replied = worker.publish_with_headers(reply_to.clone(), headers, payload);
                    replied.await.expect("published");
                }
            }
        });
        comes_in_parts(Queue::nats(broker.url(), "jobs")).await;
    });
}

/// One worker writes the number of a part as a number, the other one as a string.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_job_over_rabbitmq_comes_in_parts() {
    built_with!("amqp", {
        use futures_util::StreamExt;
        use lapin::{
            BasicProperties,
            options::*,
            types::{AMQPValue, FieldTable},
        };

        let broker = Broker::rabbitmq().await;
        for (nth, value) in [
            |more: &str| AMQPValue::LongLongInt(more.parse().expect("a number")),
            |more: &str| AMQPValue::LongString(more.into()),
        ]
        .into_iter()
        .enumerate()
        {
            let topic = name(&format!("amqp-progress-{nth}"));
            let worker = lapin::Connection::connect(&broker.url(), Default::default()).await;
            let worker = worker.expect("connected");
            let channel = worker.create_channel().await.expect("a channel");
            let (options, table) = (QueueDeclareOptions::default(), FieldTable::default());
            let declared = channel.queue_declare(topic.as_str().into(), options, table);
            declared.await.expect("a queue");
            let options = BasicConsumeOptions {
                no_ack: true,
                ..Default::default()
            };
            let (queue, table) = (topic.as_str().into(), FieldTable::default());
            let consumer = channel.basic_consume(queue, "".into(), options, table);
            let mut requests = consumer.await.expect("a consumer");
            tokio::spawn(async move {
                let _worker = worker;
                while let Some(Ok(request)) = requests.next().await {
                    let reply_to = request.properties.reply_to().clone().expect("an address");
                    let id = request.properties.correlation_id().clone().expect("an id");
                    for Sent(more, kind, payload) in replies(&request.data) {
                        let mut headers = FieldTable::default();
                        headers.insert("worker".into(), AMQPValue::Boolean(true));
                        if let Some(more) = more {
                            headers.insert("more".into(), value(more));
                        }
                        let properties = BasicProperties::default()
                            .with_correlation_id(id.clone())
                            .with_type(kind.into())
                            .with_headers(headers);
                        let (to, options) = (reply_to.clone(), BasicPublishOptions::default());
                        let replied =
                            channel.basic_publish("".into(), to, options, &payload, properties);
                        replied.await.expect("published");
                    }
                }
            });
            comes_in_parts(Queue::amqp(broker.url(), topic)).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn a_job_over_kafka_comes_in_parts() {
    built_with!("kafka", {
        use rdkafka::{
            ClientConfig, Message as _, Offset, TopicPartitionList,
            consumer::{Consumer, StreamConsumer},
            message::{Header, Headers, OwnedHeaders},
            producer::{FutureProducer, FutureRecord},
        };

        let broker = Broker::kafka();
        let created = worker::kafka::create_topics(&broker.url(), &["jobs", "replies"]).await;
        created.expect("topics");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.url());
        let producer: FutureProducer = config.create().expect("a producer");
        let producer = worker::kafka::Elsewhere::new(producer);
        config
            .set("group.id", "jobs")
            .set("enable.auto.commit", "false");
        let requests: StreamConsumer = config.create().expect("a consumer");
        let requests = worker::kafka::Elsewhere::new(requests);
        let mut partitions = TopicPartitionList::new();
        let added = partitions.add_partition_offset("jobs", 0, Offset::Beginning);
        added.expect("a partition");
        requests.assign(&partitions).expect("assigned");
        tokio::spawn(async move {
            while let Ok(request) = requests.recv().await {
                let mut headers = request.headers().expect("headers").iter();
                let id = headers.find(|header| header.key == "id");
                let id = id.and_then(|header| header.value).expect("an id");
                for Sent(more, kind, payload) in replies(request.payload().unwrap_or_default()) {
                    let mut headers = OwnedHeaders::new();
                    for (key, value) in [
                        ("id", Some(id)),
                        ("kind", Some(kind.as_bytes())),
                        ("more", more.map(str::as_bytes)),
                    ] {
                        if value.is_some() {
                            headers = headers.insert(Header { key, value });
                        }
                    }
                    let record = FutureRecord::to("replies").key(id);
                    let record = record.payload(&payload).headers(headers);
                    let sent = producer.send(record, PATIENCE).await;
                    sent.expect("published");
                }
            }
        });
        comes_in_parts(Queue::kafka(broker.url(), "jobs", "replies")).await;
    });
}
