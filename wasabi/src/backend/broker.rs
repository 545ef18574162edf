//! What queues and clusters share: connections to brokers that are opened again, their sockets and TLS.

pub(crate) mod link;
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "nats",
    feature = "redis"
))]
pub(crate) mod session_task;
#[cfg(any(feature = "amqp", feature = "redis"))]
pub(crate) mod socket;
#[cfg(all(
    feature = "tls",
    any(feature = "amqp", feature = "nats", feature = "redis")
))]
pub(crate) mod tls;
