//! Replies that cannot be read, and other replies after them, over each broker.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{TestServer, broker::Broker};

use super::super::{PATIENCE, gateway, name, works};

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
async fn a_reply_over_redis_whose_fields_are_not_utf_8_stops_no_other() {
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
async fn another_type_in_the_place_of_the_replies_of_redis_is_deleted_and_counted() {
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
async fn a_reply_over_kafka_whose_headers_are_not_utf_8_stops_no_other() {
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
