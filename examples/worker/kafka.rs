//! A worker over Kafka, with librdkafka alone.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use super::{Answer, Error};

/// Creates topics of one partition; those that exist stay as they are.
pub(crate) async fn create_topics(brokers: &str, topics: &[&str]) -> Result<(), Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
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
        // Joining the group takes a few of these.
        .set("heartbeat.interval.ms", "200")
        .set("session.timeout.ms", "6000")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let replies: FutureProducer = config
        .set("linger.ms", "0")
        .set("message.timeout.ms", "5000")
        .create()?;
    requests.subscribe(&[topic])?;
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
        // Does not wait for the delivery, so that the next request has its turn.
        if let Err((error, _)) = replies.send_result(record) {
            return Err(error.into());
        }
    }
}
