//! A queue over each broker, with a worker that stays at work.

use wasabi::Queue;
use wasabi_tests::broker::Broker;

use super::super::{
    employ, name,
    worker::{self, Answer},
};

#[cfg(feature = "redis")]
pub(crate) fn redis(broker: &Broker, answer: Answer) -> Queue<wasabi::queue::Redis> {
    let (url, topic) = (broker.url(), name("redis"));
    let queue = Queue::redis(&url, topic.clone());
    employ(move || {
        let (url, topic) = (url.clone(), topic.clone());
        async move { worker::redis::serve(&url, &topic, answer).await }
    });
    queue
}

#[cfg(feature = "nats")]
pub(crate) fn nats(broker: &Broker, answer: Answer) -> Queue<wasabi::queue::Nats> {
    let (url, topic) = (broker.url(), name("nats"));
    let queue = Queue::nats(&url, topic.clone());
    employ(move || {
        let (url, topic) = (url.clone(), topic.clone());
        async move { worker::nats::serve(&url, &topic, answer).await }
    });
    queue
}

#[cfg(feature = "amqp")]
pub(crate) fn amqp(broker: &Broker, answer: Answer) -> Queue<wasabi::queue::Amqp> {
    let (url, topic) = (broker.url(), name("amqp"));
    let queue = Queue::amqp(&url, topic.clone());
    employ(move || {
        let (url, topic) = (url.clone(), topic.clone());
        async move { worker::amqp::serve(&url, &topic, answer).await }
    });
    queue
}

#[cfg(feature = "kafka")]
pub(crate) fn kafka(broker: &Broker, answer: Answer) -> Queue<wasabi::queue::Kafka> {
    let (url, topic, replies) = (broker.url(), name("kafka"), name("kafka-replies"));
    let queue = Queue::kafka(&url, topic.clone(), replies.clone());
    employ(move || {
        let (url, topic, replies) = (url.clone(), topic.clone(), replies.clone());
        async move {
            worker::kafka::create_topics(&url, &[&topic, &replies]).await?;
            worker::kafka::serve(&url, &topic, answer).await
        }
    });
    queue
}
