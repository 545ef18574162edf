//! Replies that cannot be read, and other replies after them, over each broker.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{TestServer, broker::Broker};

use super::super::{PATIENCE, gateway, json as next_json, name, works};

/// Ten requests in a row have their replies, however busy the machine is.
async fn goes_on(server: &TestServer) {
    let mut client = server.connect("/").await;
    for id in 0..10 {
        let question = json!({"do": "ask", "id": id});
        assert_eq!(client.ask_json(question.clone()).await, question);
    }
}

fn patient<T: Transport>(queue: Queue<T>) -> Queue<T> {
    queue.timeout(PATIENCE).publish_timeout(PATIENCE)
}

/// A connection for what no worker does.
#[cfg(feature = "redis")]
async fn redis_by_hand(broker: &Broker) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(broker.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("connected")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_reply_over_redis_with_invalid_utf_8_does_not_stop_others() {
    built_with!("redis", {
        let broker = Broker::redis();
        let queue = patient(super::employed::redis(&broker, super::super::echo));
        let server = gateway(queue.clone()).await;
        works(&server).await;
        let replies = format!("wasabi:replies:{}", queue.inbox().instance());
        let mut by_hand = redis_by_hand(&broker).await;
        for fields in [
            [&b"\xff\xfe"[..], b"y", b"payload", b"x"],
            [b"id", b"\xff\xfe", b"\xff", b"\xff"],
            [b"hello", b"world", b"", b""],
        ] {
            let mut add = redis::cmd("XADD");
            add.arg(&replies).arg("*").arg(&fields[..]);
            add.exec_async(&mut by_hand).await.expect("added");
            goes_on(&server).await;
        }
        assert_eq!(queue.dropped().foreign, 3);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_key_of_another_type_at_the_reply_stream_of_redis_is_deleted_and_counted() {
    built_with!("redis", {
        let broker = Broker::redis();
        let queue = patient(super::employed::redis(&broker, super::super::echo));
        let server = gateway(queue.clone()).await;
        works(&server).await;
        let replies = format!("wasabi:replies:{}", queue.inbox().instance());
        let mut by_hand = redis_by_hand(&broker).await;
        for nth in 1..3 {
            let mut replace = redis::pipe();
            replace.atomic().cmd("DEL").arg(&replies);
            replace.cmd("SET").arg(&replies).arg("a string");
            replace.exec_async(&mut by_hand).await.expect("replaced");
            // A read that has begun goes on for 5 s.
            let counted = async {
                while queue.dropped().malformed < nth {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, counted).await.expect("it is counted");
            goes_on(&server).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn a_reply_over_kafka_with_invalid_utf_8_does_not_stop_others() {
    built_with!("kafka", {
        let broker = Broker::kafka();
        let queue = patient(super::employed::kafka(&broker, super::super::echo));
        let server = gateway(queue.clone()).await;
        works(&server).await;
        let topic = name("kafka-replies");
        kafka_by_hand::publish(&broker, &topic, &[(b"\xff\xfe", b"y")], b"x").await;
        wasabi_tests::until("it is counted", || queue.dropped().malformed == 1).await;
        goes_on(&server).await;
        let headers = [(&b"\xff\xfe"[..], &b"y"[..]), (b"id", b"nobody's")];
        let foreign = queue.dropped().foreign;
        kafka_by_hand::publish(&broker, &topic, &headers, b"x").await;
        wasabi_tests::until("it is read", || queue.dropped().foreign == foreign + 1).await;
        goes_on(&server).await;
        assert_eq!(queue.dropped().malformed, 1);
    });
}

/// A way to a broker on which each `@@` that a client sends becomes two bytes that are no text: what client libraries
/// cannot be made to send.
async fn garbling(broker: &Broker) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let target = broker.addr();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from, mut to) = client.into_split();
            let broker = TcpStream::connect(target).await.expect("connected");
            let (mut answers, mut asks) = broker.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to).await });
            tokio::spawn(async move {
                let mut piece = [0; 8192];
                while let Ok(count @ 1..) = from.read(&mut piece).await {
                    let piece = &mut piece[..count];
                    for at in 1..count {
                        if &piece[at - 1..=at] == b"@@" {
                            piece[at - 1..=at].copy_from_slice(b"\xff\xfe");
                        }
                    }
                    asks.write_all(piece).await.expect("sent");
                }
            });
        }
    });
    let url = broker.url();
    url.replace(&broker.addr().to_string(), &addr.to_string())
}

/// A worker answers most of what it is asked at once, with what RabbitMQ passes on and lapin does not read, and what is
/// `slow` after that.
// Long: one sequence, with a client that writes frames by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_reply_over_rabbitmq_with_invalid_utf_8_does_not_stop_others() {
    built_with!("amqp", {
        use futures_util::StreamExt;
        use lapin::{
            BasicProperties,
            options::*,
            types::{AMQPValue, FieldTable},
        };

        let broker = Broker::rabbitmq().await;
        let topic = name("amqp-malformed");
        let url = garbling(&broker).await;
        let worker = lapin::Connection::connect(&url, Default::default()).await;
        let worker = worker.expect("connected");
        let channel = worker.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions::default();
        let declared = channel.queue_declare(topic.as_str().into(), options, FieldTable::default());
        declared.await.expect("a queue");
        let options = BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        };
        let (topic_, tag, table) = (topic.as_str().into(), "".into(), FieldTable::default());
        let consumer = channel.basic_consume(topic_, tag, options, table);
        let mut requests = consumer.await.expect("a consumer");
        tokio::spawn(async move {
            let _worker = worker;
            let mut slow = None;
            while let Some(Ok(request)) = requests.next().await {
                let reply_to = request.properties.reply_to().clone().expect("an address");
                let id = request.properties.correlation_id().clone().expect("an id");
                let question: Value = serde_json::from_slice(&request.data).expect("JSON");
                let own = BasicProperties::default().with_correlation_id(id);
                let mut headers = FieldTable::default();
                headers.insert("@@".into(), AMQPValue::LongString("@@".into()));
                let properties = match question["do"].as_str() {
                    Some("slow") => {
                        slow = Some((own, request.data));
                        continue;
                    }
                    Some("headers") => own.with_headers(headers),
                    Some("type") => own.with_type("@@".into()),
                    Some("others") => own
                        .with_content_type("@@".into())
                        .with_message_id("@@".into())
                        .with_app_id("@@".into()),
                    Some("id") => own.with_correlation_id("@@".into()),
                    Some("none") => BasicProperties::default(),
                    _ => own,
                };
                let finished = slow.take_if(|_| question["do"] == "finish");
                for (properties, data) in [(properties, request.data)].into_iter().chain(finished) {
                    let reply_to = reply_to.clone();
                    let options = BasicPublishOptions::default();
                    let replied =
                        channel.basic_publish("".into(), reply_to, options, &data, properties);
                    replied.await.expect("published");
                }
            }
        });
        let queue = patient(Queue::amqp(broker.url(), topic));
        let server = gateway(queue.clone()).await;
        works(&server).await;
        let mut client = server.connect("/").await;
        let slow = json!({"do": "slow", "id": 1});
        client.send(slow.to_string()).await;
        for read in ["headers", "type", "others", "ask"] {
            let question = json!({"do": read, "id": read});
            client.send(question.to_string()).await;
            assert_eq!(next_json(&mut client).await, question);
        }
        // Nobody can tell whose these are.
        for (lost, count) in [("id", 1), ("none", 2)] {
            client
                .send(json!({"do": lost, "id": lost}).to_string())
                .await;
            wasabi_tests::until("it is counted", || queue.dropped().foreign == count).await;
        }
        let finish = json!({"do": "finish", "id": 2});
        client.send(finish.to_string()).await;
        let mut answers = [next_json(&mut client).await, next_json(&mut client).await];
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert_eq!(answers, [slow, finish]);
        goes_on(&server).await;
        assert_eq!(queue.pending(), 2);
    });
}

/// NATS' client library ends the connection over these: what is in flight has an outcome, and what comes after it a reply,
/// however often that happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_reply_over_nats_with_invalid_utf_8_does_not_delay_others() {
    built_with!("nats", {
        use futures_util::StreamExt;

        let broker = Broker::nats();
        let worker = async_nats::connect(garbling(&broker).await).await;
        let worker = worker.expect("connected");
        let mut requests = worker.subscribe("orders").await.expect("subscribed");
        worker.flush().await.expect("subscribed");
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let question: Value = serde_json::from_slice(&request.payload).expect("JSON");
                let (reply_to, payload) = (request.reply.expect("an address"), request.payload);
                let mut headers = async_nats::HeaderMap::new();
                match question["do"].as_str() {
                    Some("slow") => continue,
                    Some("headers") => headers.insert("spoilt", "@@"),
                    _ => {}
                }
                let replied = worker.publish_with_headers(reply_to, headers, payload);
                replied.await.expect("published");
            }
        });
        let queue = patient(Queue::nats(broker.url(), "orders"));
        let server = gateway(queue.clone()).await;
        works(&server).await;
        let mut client = server.connect("/").await;
        let began = std::time::Instant::now();
        for _ in 0..20 {
            client
                .send(json!({"do": "slow", "id": 1}).to_string())
                .await;
            client
                .send(json!({"do": "headers", "id": 2}).to_string())
                .await;
            for _ in 0..2 {
                let answer = next_json(&mut client).await;
                assert_eq!(answer["error"]["code"], "upstream_lost");
            }
            let question = json!({"do": "ask", "id": 3});
            assert_eq!(client.ask_json(question.clone()).await, question);
        }
        // With pauses that grow it takes longer than a minute.
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(queue.pending(), 0);
    });
}

/// What the client library of Kafka cannot be made to send.
#[cfg(feature = "kafka")]
mod kafka_by_hand {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };
    use wasabi_tests::{broker::Broker, soon};

    /// Publishes one record to partition 0, and waits until the broker has it.
    pub(super) async fn publish(
        broker: &Broker,
        topic: &str,
        headers: &[(&[u8], &[u8])],
        value: &[u8],
    ) {
        let batch = batch(&record(headers, value));
        // Produce, version 3, correlation id 1, no client id, no transaction, acknowledged by all, within a second.
        let mut request = vec![
            0, 0, 0, 3, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 0, 0, 3, 232,
        ];
        request.extend(1_i32.to_be_bytes());
        request.extend((topic.len() as i16).to_be_bytes());
        request.extend(topic.as_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(0_i32.to_be_bytes());
        request.extend((batch.len() as i32).to_be_bytes());
        request.extend(batch);
        let mut stream = TcpStream::connect(broker.addr()).await.expect("connected");
        let length = (request.len() as i32).to_be_bytes();
        stream.write_all(&length).await.expect("sent");
        stream.write_all(&request).await.expect("sent");
        let length = soon(stream.read_i32()).await.expect("an answer");
        let mut answer = vec![0; length as usize];
        soon(stream.read_exact(&mut answer))
            .await
            .expect("all of it");
        // Correlation id, one topic with its name, one partition with its number: then comes the error.
        let at = 4 + 4 + 2 + topic.len() + 4 + 4;
        assert_eq!(answer[at..at + 2], [0, 0], "{answer:?}");
    }

    fn record(headers: &[(&[u8], &[u8])], value: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 0, 0]; // attributes, both deltas
        varint(&mut body, -1); // no key
        bytes(&mut body, value);
        varint(&mut body, headers.len() as i32);
        for (name, value) in headers {
            bytes(&mut body, name);
            bytes(&mut body, value);
        }
        let mut record = Vec::new();
        bytes(&mut record, &body);
        record
    }

    fn batch(record: &[u8]) -> Vec<u8> {
        let mut checked = Vec::new();
        checked.extend(0_i16.to_be_bytes()); // attributes
        checked.extend(0_i32.to_be_bytes()); // delta of the last offset
        checked.extend(1_700_000_000_000_i64.to_be_bytes());
        checked.extend(1_700_000_000_000_i64.to_be_bytes());
        checked.extend((-1_i64).to_be_bytes()); // producer, its epoch, its sequence
        checked.extend((-1_i16).to_be_bytes());
        checked.extend((-1_i32).to_be_bytes());
        checked.extend(1_i32.to_be_bytes()); // records
        checked.extend(record);
        let mut batch = Vec::new();
        batch.extend(0_i64.to_be_bytes());
        batch.extend((checked.len() as i32 + 9).to_be_bytes());
        batch.extend((-1_i32).to_be_bytes()); // epoch of the leader
        batch.push(2); // version
        batch.extend(crc32c(&checked).to_be_bytes());
        batch.extend(checked);
        batch
    }

    fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
        varint(to, bytes.len() as i32);
        to.extend(bytes);
    }

    fn varint(to: &mut Vec<u8>, number: i32) {
        let mut rest = ((number << 1) ^ (number >> 31)) as u32;
        while rest > 127 {
            to.push(rest as u8 | 128);
            rest >>= 7;
        }
        to.push(rest as u8);
    }

    fn crc32c(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        !bytes
            .iter()
            .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
    }
}
