//! A Kafka worker that uses only librdkafka.

use std::{ops::Deref, thread, time::Duration};

use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::{sync::oneshot, time::timeout};

use super::{Answer, Error};

/// A client of librdkafka, dropped on its own thread. Dropping it waits for its threads, and a consumer also waits
/// until it has left its group. Without a broker that may take forever, and would block a thread of the runtime.
pub(crate) struct Elsewhere<T: Send + 'static>(Option<T>);

impl<T: Send> Elsewhere<T> {
    pub(crate) fn new(client: T) -> Self {
        Self(Some(client))
    }

    /// Drops the client and waits for it to end, for 10 seconds at most.
    async fn end(mut self) {
        let client = self.0.take();
        let (tell, told) = oneshot::channel();
        thread::spawn(move || {
            drop(client);
            let _ = tell.send(());
        });
        let _ = timeout(Duration::from_secs(10), told).await;
    }
}

impl<T: Send> Deref for Elsewhere<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            thread::spawn(move || drop(client));
        }
    }
}

/// Creates topics with one partition; existing topics stay as they are.
pub(crate) async fn create_topics(brokers: &str, topics: &[&str]) -> Result<(), Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: Elsewhere<AdminClient<DefaultClientContext>> = Elsewhere::new(config.create()?);
    let topics = topics
        .iter()
        .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(5)));
    admin
        .create_topics(&topics.collect::<Vec<_>>(), &options)
        .await?;
    Ok(())
}

/// Answers requests until no broker can be reached.
pub(crate) async fn serve(brokers: &str, topic: &str, answer: Answer) -> Result<(), Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let requests: StreamConsumer = config
        .clone()
        .set("group.id", "workers")
        .set("auto.offset.reset", "earliest")
        // Joining the group takes a few heartbeats.
        .set("heartbeat.interval.ms", "200")
        .set("session.timeout.ms", "6000")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let requests = Elsewhere::new(requests);
    let replies: FutureProducer = config
        .set("linger.ms", "0")
        .set("message.timeout.ms", "5000")
        .create()?;
    let replies = Elsewhere::new(replies);
    requests.subscribe(&[topic])?;
    let ended = answer_all(&requests, &replies, answer).await;
    // Otherwise the next worker would wait in the group for this one.
    requests.end().await;
    ended
}

async fn answer_all(
    requests: &StreamConsumer,
    replies: &FutureProducer,
    answer: Answer,
) -> Result<(), Error> {
    loop {
        let request = requests.recv().await?;
        let reply = answer(request.payload().unwrap_or_default());
        let header = |name| {
            let mut headers = request.headers().into_iter().flat_map(Headers::iter);
            headers.find(|header| header.key == name)?.value
        };
        let reply_to = header("reply_to").and_then(|topic| std::str::from_utf8(topic).ok());
        let Some(reply_to) = reply_to else {
            continue;
        };
        let mut headers = OwnedHeaders::new();
        for key in ["id", "kind"] {
            let value = header(key);
            headers = headers.insert(Header { key, value });
        }
        let record = FutureRecord::<(), _>::to(reply_to)
            .payload(&reply)
            .headers(headers);
        // Does not wait for the delivery, so that the next request can be handled.
        if let Err((error, _)) = replies.send_result(record) {
            return Err(error.into());
        }
    }
}
