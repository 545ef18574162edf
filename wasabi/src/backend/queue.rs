//! Message queues: the gateway sends a request to a broker and receives the reply of a worker.

#[cfg(feature = "amqp")]
mod amqp;
mod callback;
mod exchange;
mod inbox;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod parts;
#[cfg(feature = "redis")]
mod redis;
mod settings;
#[cfg(test)]
mod tests;
mod transport;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "amqp")]
pub use self::amqp::{Amqp, AmqpSession};
#[cfg(feature = "kafka")]
pub use self::kafka::{Kafka, KafkaSession};
#[cfg(feature = "nats")]
pub use self::nats::{Nats, NatsSession};
#[cfg(feature = "redis")]
pub(crate) use self::redis::servers;
#[cfg(feature = "redis")]
pub use self::redis::{Redis, RedisSession};
use self::settings::{QueueSettings, Topic};
pub use self::{
    callback::Callback,
    inbox::{CorrelationId, DroppedReplies, Inbox},
    memory::{Job, Memory, MemorySession, Worker},
    transport::{Outgoing, Session, Transport},
};
use crate::{
    BoxError, Connection, Lifecycle, Request,
    backend::broker::link::{Opens, SessionLink},
};

/// A message queue as a backend: the gateway publishes the message to a topic, and the answer of a worker is the reply.
///
/// A [`CorrelationId`] ties a reply to its request, so replies may arrive in any order. The first reply wins; late,
/// duplicate and foreign replies are [counted](Self::dropped) and dropped. Text stays text and binary stays binary, in
/// both directions. When the client disconnects or a middleware gives up, the queue forgets the request and frees its
/// place at once, unless the request owes [no reply](Self::no_reply).
///
/// A worker may reply in parts, for example to report progress. Each part except the last one carries the header `more`
/// with its number, counted from 1. The gateway sends the parts on to the client as they arrive
/// ([`Reply::stream`](crate::Reply::stream)), each of them once.
///
/// ```
/// use std::time::Duration;
/// use wasabi::{prelude::*, queue::Memory};
///
/// let broker = Memory::new();
/// let orders = Queue::new(broker, "orders")
///     .timeout(Duration::from_secs(5))
///     .header_with("key", |req| req.key().to_owned());
/// let gateway = gateway!(channel(
///     "/",
///     match key {
///         "order.place" => orders.clone(),
///         "order.viewed" => orders.clone().topic("views").no_reply(),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// A queue is a handle: clones share the connection to the broker and the count of requests, and may have different
/// settings. The page of each transport describes what a worker must do; `examples/queue.rs` has a worker for each.
///
/// # Errors
///
/// * `timed_out`: no reply, or no further part of one, within the [`timeout`](Self::timeout).
/// * `upstream_unreachable`: there was no connection to the broker within the
///   [`publish_timeout`](Self::publish_timeout), or the broker refused the message: it has not been published.
/// * `upstream_lost`: the broker did not confirm the message within the [`publish_timeout`](Self::publish_timeout), or
///   the connection broke and the reply cannot come any more. A message is published once at most, and here perhaps.
/// * `overloaded`: [`max_pending`](Self::max_pending) requests are under way already.
/// * `bad_request`: the topic or a header made from the request is invalid, or the broker does not allow so large a
///   message (Kafka, NATS).
/// * `upstream_invalid`: the reply is a text that is not UTF-8, or longer than [`max_reply_size`](Self::max_reply_size); a
///   part of it is missing, or the parts of the reply came faster than the client took them.
/// * `job_failed`: the worker has replied with an error, whose text goes to the client.
///
/// # Connection
///
/// The gateway connects to the broker when the first client connects. It reopens a broken connection after pauses that
/// grow from 50 ms to 2 s, and notices a silent, dead connection within about half a minute. Requests wait for the
/// connection meanwhile, as long as their `publish_timeout` allows. At most `max_pending` requests wait, so memory does
/// not grow while the broker is away.
///
/// # Memory
///
/// A queue holds at most `max_pending` requests, and as many replies of up to `max_reply_size`. Of a reply in parts it
/// holds at most 256 parts that the client has not taken yet; together they have at most `max_reply_size` bytes, and
/// the last part alone has at most that many. The size of a reply is checked when all of it has arrived. Until then the
/// transport's client library holds it, so brokers must be as trusted as any other part of the backend.
#[must_use = "a backend does nothing until a route uses it"]
pub struct Queue<T: Transport> {
    shared: Arc<SharedQueue<T>>,
    settings: QueueSettings,
}

/// What the clones of a queue share.
struct SharedQueue<T: Transport> {
    transport: Arc<T>,
    inbox: Inbox,
    link: OnceLock<SessionLink<T::Session>>,
}

impl<T: Transport> Queue<T> {
    /// Makes a queue over a transport. Messages go to this topic, queue, subject or stream, as the broker calls it.
    pub fn new(transport: T, topic: impl Into<Cow<'static, str>>) -> Self {
        Self {
            shared: Arc::new(SharedQueue {
                transport: Arc::new(transport),
                inbox: Inbox::new(),
                link: OnceLock::new(),
            }),
            settings: QueueSettings::new(topic.into()),
        }
    }

    /// Sets another topic.
    pub fn topic(mut self, topic: impl Into<Cow<'static, str>>) -> Self {
        self.settings.topic = Topic::Fixed(topic.into());
        self
    }

    /// Sets a topic for each request. An invalid topic name (empty, longer than 255 bytes, or with white space or
    /// control characters) is the error `bad_request`.
    ///
    /// A function of what the client sends lets the client choose the topic: match only the topics that it may choose.
    ///
    /// ```
    /// use wasabi::{Queue, queue::Memory};
    ///
    /// let queue = Queue::new(Memory::new(), "other").topic_by(|req| match req.key() {
    ///     "buy" | "sell" => format!("orders.{}", req.key()),
    ///     _ => "other".to_owned(),
    /// });
    /// # drop(queue);
    /// ```
    pub fn topic_by(mut self, topic: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        self.settings.topic = Topic::Of(Arc::new(topic));
        self
    }

    /// Adds a header with the same value to every message. A value with a carriage return, a line feed or NUL is a
    /// mistake.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value: String = value.into();
        if !wasabi_rules::is_queue_header_value(&value) {
            let mistake = format!("the value of the header `{name}` is invalid");
            self.settings.mistakes.push(mistake);
        }
        self.header_with(name, move |_| value.clone())
    }

    /// A header for each message, made of the request. A value with a carriage return, a line feed or NUL is the error
    /// `bad_request`. `id`, `kind`, `more`, `payload`, `reply_to` and `expires_at` are in use already.
    ///
    /// With the cargo feature `otel` messages also carry the [trace
    /// context](crate::middleware::request::Trace#upstreams) in their headers.
    pub fn header_with(
        mut self,
        name: &'static str,
        value: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> Self {
        self.settings
            .mistakes
            .keep(wasabi_rules::queue_header(name));
        self.settings.headers.push((name, Arc::new(value)));
        self
    }

    /// Adds the headers `key`, the routing key, and `connection`, the id of the client's connection within this
    /// process.
    pub fn routing_headers(self) -> Self {
        self.header_with("key", |req| req.key().to_owned())
            .header_with("connection", |req| req.connection().id().to_string())
    }

    /// Sets how long a request may take from its arrival to its reply; the default is 30 s. For a reply in parts, the
    /// limit applies to the first part, and then from each part that the client has taken to the next. The channel's
    /// `stream_idle_timeout` applies to these parts as well.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = self.settings.mistakes.above_zero("Queue::timeout", timeout);
        self
    }

    /// Sets how long a request waits for a place, for a connection to the broker, and for the broker to take the
    /// message; the default is 5 s.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.settings.publish_timeout = self
            .settings
            .mistakes
            .above_zero("Queue::publish_timeout", timeout);
        self
    }

    /// Sets how many requests may be pending; the default is 10 000. The queue answers further ones `overloaded` at
    /// once, except those of a connection that has less than an equal share of the places: they wait for the next free
    /// place, in turn with other connections, as long as the [`publish_timeout`](Self::publish_timeout) allows. At most
    /// this many requests wait.
    pub fn max_pending(mut self, requests: usize) -> Self {
        self.settings.max_pending = self
            .settings
            .mistakes
            .above_zero("Queue::max_pending", requests);
        self
    }

    /// Sets the maximum size of a reply in bytes; the default is 1 MiB. A longer reply is dropped and
    /// [counted](DroppedReplies::too_large), and its request is answered `upstream_invalid`.
    pub fn max_reply_size(mut self, bytes: usize) -> Self {
        self.settings.max_reply_size = self
            .settings
            .mistakes
            .above_zero("Queue::max_reply_size", bytes);
        self
    }

    /// Only publishes messages: the client gets nothing back unless publishing fails. Messages are published even if
    /// the client has disconnected meanwhile ([`Backend::owes_reply`](crate::Backend::owes_reply)).
    pub fn no_reply(mut self) -> Self {
        self.settings.expects_reply = false;
        self
    }

    /// The number of replies dropped since the start, by reason.
    pub fn dropped(&self) -> DroppedReplies {
        self.shared.inbox.dropped()
    }

    /// The number of pending requests.
    pub fn pending(&self) -> usize {
        self.shared.inbox.waiting()
    }

    /// The inbox that takes replies, for those that do not arrive over the transport.
    pub fn inbox(&self) -> Inbox {
        self.shared.inbox.clone()
    }
}

impl<T: Transport> SharedQueue<T> {
    fn link(&self) -> &SessionLink<T::Session> {
        self.link.get_or_init(|| SessionLink::open(self.opens()))
    }

    fn opens(&self) -> QueueSessions<T> {
        QueueSessions {
            transport: Arc::clone(&self.transport),
            inbox: self.inbox.clone(),
        }
    }
}

/// Opens the sessions of a queue.
struct QueueSessions<T> {
    transport: Arc<T>,
    inbox: Inbox,
}

impl<T: Transport> Opens for QueueSessions<T> {
    type Session = T::Session;

    async fn open(&self) -> Result<T::Session, BoxError> {
        self.transport.connect(self.inbox.clone()).await
    }

    async fn ended(session: &T::Session) -> BoxError {
        session.closed().await
    }

    fn served(&self) -> u64 {
        self.inbox.matched()
    }
}

impl<T: Transport> Lifecycle for Queue<T> {
    fn check(&self) -> Result<(), String> {
        self.settings.check()?;
        self.shared.transport.check()
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        let inbox = &self.shared.inbox;
        let topic = match &self.settings.topic {
            Topic::Fixed(topic) => topic,
            Topic::Of(_) => "*",
        };
        let link = self.shared.link.get();
        seen.queue(
            inbox.number(),
            topic,
            inbox.waiting(),
            link.is_some_and(SessionLink::is_up),
            inbox.dropped().by_reason(),
        );
    }

    fn connected(&self, _connection: &Connection) {
        self.shared.link();
    }
}

impl<T: Transport> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            settings: self.settings.clone(),
        }
    }
}

impl<T: Transport> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Queue");
        if let Topic::Fixed(topic) = &self.settings.topic {
            debug.field("topic", topic);
        }
        debug
            .field("inbox", &self.shared.inbox)
            .finish_non_exhaustive()
    }
}
