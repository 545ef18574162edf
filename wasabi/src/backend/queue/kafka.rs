//! Kafka, or a compatible broker, for a queue: one topic for requests, another for replies.

mod replies;

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::{runtime::Handle, sync::oneshot};

use self::replies::{Offsets, lock, read};
use super::{Inbox, Outgoing, Queue, Session, Transport, transport::expires_at};
use crate::{
    BoxError, Error, Result,
    backend::broker::session_task::{Ending, SessionTask},
};

/// Kafka as the transport of a queue.
///
/// ```
/// use wasabi::{Queue, queue::Kafka};
///
/// let queue = Queue::kafka("127.0.0.1:9092", "orders", "orders.replies");
/// let with_settings = Queue::new(
///     Kafka::new("127.0.0.1:9092", "orders.replies").set("client.id", "gateway-1"),
///     "orders",
/// );
/// # drop((queue, with_settings));
/// ```
///
/// # For workers
///
/// A request is a record in the queue's topic, a reply one in the reply topic. Both topics must exist. The value is the
/// message. Headers of a request:
///
/// | header | value |
/// |---|---|
/// | `id` | the correlation id |
/// | `reply_to` | the topic that the reply goes to; absent if no reply is expected |
/// | `kind` | `text` or `binary` |
/// | `expires_at` | when the gateway stops waiting, in milliseconds since 1970; absent if no reply is expected |
/// | others | the headers of the queue |
///
/// The reply goes to the topic `reply_to` with the same `id`, and `kind` (text if absent; `error`, with a text for the
/// client, if the job failed). In a reply in parts, each part except the last one has the header `more` with its
/// number, counted from 1. All parts must go to the same partition, or Kafka changes their order: use the `id` as the
/// key of their records.
///
/// # Limits
///
/// Every gateway reads all partitions of its reply topic, from their end at its start. Gateways that share a reply
/// topic see, count and drop each other's replies: give each gateway its own topic, with few partitions and a short
/// retention. Kafka keeps replies while the gateway reconnects.
///
/// # Memory
///
/// librdkafka holds up to 10 000 messages, or 64 MiB of them, on their way to Kafka; further ones fail with
/// `upstream_unreachable`. It prefetches up to 8 MiB of replies, plus one record of any length that Kafka has accepted.
/// Change these limits with [`set`](Self::set): `queue.buffering.max.messages`, `queue.buffering.max.kbytes`,
/// `queued.max.messages.kbytes`, `fetch.max.bytes`, `fetch.message.max.bytes`.
///
/// # TLS
///
/// TLS is not compiled in: librdkafka needs OpenSSL for it, which this crate avoids. A `security.protocol` that needs
/// TLS prevents the gateway from being served. If the broker requires TLS, connect through a TLS proxy beside the
/// gateway.
///
/// # Credentials
///
/// A user and a password are settings: set `security.protocol` to `sasl_plaintext`, `sasl.mechanisms` to `PLAIN` (the
/// only mechanism that is compiled in), and `sasl.username` and `sasl.password`. They are sent unencrypted. Credentials
/// in a broker's address prevent the gateway from being served.
pub struct Kafka {
    config: ClientConfig,
    replies: String,
    /// The next offset to read, by partition.
    offsets: Offsets,
}

const NO_CREDENTIALS: &str = "the address of a Kafka broker cannot contain a user or password; write `host:port`, and \
    set `sasl.username` and `sasl.password`";
const NO_MECHANISM: &str = "SASL needs the mechanism `PLAIN`, the only one that is compiled in; set `sasl.mechanisms` to `PLAIN`";

/// For queries to the broker while connecting.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

impl Kafka {
    /// Makes a transport for Kafka at one broker (`host:port`), or several separated by commas. Replies arrive on the
    /// topic `replies`.
    pub fn new(brokers: impl AsRef<str>, replies: impl Into<String>) -> Self {
        let brokers = brokers.as_ref();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "wasabi")
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", "10000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        Self {
            config,
            replies: replies.into(),
            offsets: Offsets::default(),
        }
    }

    /// Sets a property of librdkafka. A property that is unknown, or not compiled in, prevents the gateway from being
    /// served.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.set(name, value);
        self
    }
}

impl Queue<Kafka> {
    /// Makes a queue over [`Kafka`], at one or more brokers (`host:port`, separated by commas), with the topics of
    /// requests and of replies.
    pub fn kafka(
        brokers: impl AsRef<str>,
        topic: impl Into<Cow<'static, str>>,
        replies: impl Into<String>,
    ) -> Self {
        Self::new(Kafka::new(brokers, replies), topic)
    }
}

impl Transport for Kafka {
    type Session = KafkaSession;

    async fn connect(&self, inbox: Inbox) -> Result<KafkaSession, BoxError> {
        let config = self.config.clone();
        let (topic, offsets) = (self.replies.clone(), Arc::clone(&self.offsets));
        // librdkafka's queries block, and a runtime that shuts down would wait for its own blocking threads.
        let (done, opened) = oneshot::channel();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("wasabi-kafka".into())
            .spawn(move || {
                let _runtime = runtime.enter();
                let _ = done.send(open(&config, &topic, &offsets));
            })?;
        let (producer, consumer) = opened.await??;
        let read = read(consumer, inbox, Arc::clone(&self.offsets));
        Ok(KafkaSession {
            producer,
            replies: self.replies.clone(),
            task: SessionTask::spawn(Ending::new(), read),
        })
    }

    fn keeps_replies(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        let brokers = self.config.get("bootstrap.servers").unwrap_or_default();
        if brokers.contains('@') {
            return Err(NO_CREDENTIALS.to_owned());
        }
        if let Some((scheme, _)) = brokers.split_once("://") {
            return Err(format!(
                "a broker of Kafka has no scheme; write `host:port` without `{}://`",
                scheme.escape_debug()
            ));
        }
        let is = |name: &str, value| {
            let set = self.config.get(name);
            set.is_some_and(|set| set.eq_ignore_ascii_case(value))
        };
        if is("security.protocol", "sasl_plaintext")
            && !["sasl.mechanism", "sasl.mechanisms"]
                .into_iter()
                .any(|name| is(name, "PLAIN"))
        {
            return Err(NO_MECHANISM.to_owned());
        }
        match self.config.create_native_config() {
            Ok(_) => Ok(()),
            Err(mistake) => Err(format!("invalid configuration of Kafka: {mistake}")),
        }
    }
}

const CONSUMER: [(&str, &str); 5] = [
    // Required but unused: partitions are assigned, and nothing is committed.
    ("group.id", "wasabi"),
    ("fetch.wait.max.ms", "10"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.message.max.bytes", "1048576"),
];
const PRODUCER: [(&str, &str); 4] = [
    ("linger.ms", "0"),
    ("message.timeout.ms", "5000"),
    ("queue.buffering.max.messages", "10000"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// Adds defaults; the user's settings take precedence.
fn with_defaults(config: &ClientConfig, defaults: &[(&str, &str)]) -> ClientConfig {
    let mut config = config.clone();
    for (name, value) in defaults {
        if config.get(name).is_none() {
            config.set(*name, *value);
        }
    }
    config
}

fn open(
    config: &ClientConfig,
    topic: &str,
    offsets: &Mutex<HashMap<i32, i64>>,
) -> Result<(Elsewhere<FutureProducer>, Elsewhere<StreamConsumer>), BoxError> {
    let consumer: StreamConsumer = with_defaults(config, &CONSUMER)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ASK_TIMEOUT)?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(&[][..], |topic| topic.partitions());
    if partitions.is_empty() {
        return Err(format!("the topic {topic} does not exist").into());
    }
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), ASK_TIMEOUT)?;
        let mut offsets = lock(offsets);
        let next = offsets.entry(partition.id()).or_insert(high);
        // A broker that has lost its data counts from 0 again.
        if *next > high || *next < low {
            *next = low;
        }
        assignment.add_partition_offset(topic, partition.id(), Offset::Offset(*next))?;
    }
    consumer.assign(&assignment)?;
    let producer = with_defaults(config, &PRODUCER).create()?;
    Ok((Elsewhere(Some(producer)), Elsewhere(Some(consumer))))
}

/// A client of librdkafka, dropped on its own thread because dropping waits for the client's threads.
struct Elsewhere<T: Send + 'static>(Option<T>);

impl<T: Send> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        thread::spawn(move || drop(client));
    }
}

/// A connection to [`Kafka`].
pub struct KafkaSession {
    producer: Elsewhere<FutureProducer>,
    replies: String,
    task: SessionTask,
}

impl Session for KafkaSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        let Some(producer) = &self.producer.0 else {
            return Err(Error::UpstreamUnreachable("the session is over".into()));
        };
        let expires_at = expires_at(message.expires_in).to_string();
        let mut headers = OwnedHeaders::new()
            .insert(header("id", message.id.as_str()))
            .insert(header("kind", message.kind()));
        if message.expects_reply {
            headers = headers
                .insert(header("reply_to", &self.replies))
                .insert(header("expires_at", &expires_at));
        }
        for (name, value) in message.headers {
            headers = headers.insert(header(name, value));
        }
        let record = FutureRecord::<(), _>::to(message.topic)
            .payload(message.message().as_bytes())
            .headers(headers);
        match producer.send(record, Duration::ZERO).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(not_published(error)),
        }
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header {
        key,
        value: Some(value),
    }
}

fn not_published(error: KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            Error::bad_request("the message is too large")
        }
        Some(RDKafkaErrorCode::InvalidTopic) => {
            Error::bad_request("the topic of this message is invalid")
        }
        Some(
            RDKafkaErrorCode::QueueFull
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition,
        ) => Error::UpstreamUnreachable(error.into()),
        _ => Error::UpstreamLost(error.into()),
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KafkaSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSession")
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffers_of_librdkafka_are_limited_unless_set() {
        let kafka = Kafka::new("localhost", "replies").set("queue.buffering.max.kbytes", "1");
        for (defaults, name, expected) in [
            (&CONSUMER[..], "queued.max.messages.kbytes", "8192"),
            (&CONSUMER[..], "fetch.max.bytes", "8388608"),
            (&PRODUCER[..], "queue.buffering.max.messages", "10000"),
            (&PRODUCER[..], "queue.buffering.max.kbytes", "1"),
        ] {
            let config = with_defaults(&kafka.config, defaults);
            let native = config.create_native_config().expect("settings that exist");
            assert_eq!(native.get(name).as_deref(), Ok(expected));
        }
    }
}
