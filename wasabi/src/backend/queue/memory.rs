//! A broker inside the process.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{CorrelationId, Inbox, Outgoing, Session, Transport};
use crate::{BoxError, Error, Message, Result, mistakes::Mistakes, sync::Unpoisoned};

/// A broker inside the process: for tests, examples, and workers that run beside the gateway.
///
/// It is a handle; clones are the same broker. Messages wait for a [worker](Self::worker), up to the capacity of the
/// broker, and only as long as their requests wait for a reply. Each message goes to one worker of its topic.
///
/// ```
/// use wasabi::{prelude::*, queue::Memory};
///
/// # fn example() {
/// let broker = Memory::new();
/// let mut worker = broker.worker("orders");
/// tokio::spawn(async move {
///     loop {
///         let job = worker.next().await;
///         job.reply(job.message().clone());
///     }
/// });
/// let gateway = gateway!(channel("/", Queue::new(broker, "orders")));
/// # drop(gateway);
/// # }
/// ```
#[derive(Clone)]
pub struct Memory(Arc<Broker>);

struct Broker {
    topics: Mutex<HashMap<String, Topic>>,
    /// One permit for each message that may still be queued.
    room: Arc<Semaphore>,
    mistakes: Mistakes,
}

#[derive(Default)]
struct Topic {
    jobs: VecDeque<Queued>,
    workers: usize,
    ready: Arc<Notify>,
}

struct Queued {
    job: Job,
    expires: Option<Instant>,
    _room: OwnedSemaphorePermit,
}

impl Queued {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Makes a broker with room for 1024 messages that no worker has taken yet.
    pub fn new() -> Self {
        Self::with_capacity(1024)
    }

    /// Makes a broker with room for this many messages that no worker has taken yet, over all topics. When it is full,
    /// requests wait for a place and fail with `upstream_lost` after their queue's
    /// [`publish_timeout`](super::Queue::publish_timeout).
    pub fn with_capacity(messages: usize) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.above_zero("Memory::with_capacity", messages);
        Self(Arc::new(Broker {
            topics: Mutex::default(),
            room: Arc::new(Semaphore::new(messages.min(Semaphore::MAX_PERMITS))),
            mistakes,
        }))
    }

    /// Makes a worker for a topic.
    pub fn worker(&self, topic: impl Into<String>) -> Worker {
        let topic = topic.into();
        let mut topics = self.0.topics();
        let entry = topics.entry(topic.clone()).or_default();
        entry.workers += 1;
        Worker {
            ready: Arc::clone(&entry.ready),
            broker: Arc::clone(&self.0),
            topic,
        }
    }
}

impl Broker {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, Topic>> {
        self.topics.lock().unpoisoned()
    }

    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(permit);
        }
        self.drop_expired();
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    fn drop_expired(&self) {
        let now = Instant::now();
        self.topics().retain(|_, topic| {
            topic.jobs.retain(|job| !job.is_expired(now));
            topic.workers > 0 || !topic.jobs.is_empty()
        });
    }

    /// The next message of a topic that has not expired.
    fn take(&self, topic: &str) -> Option<Job> {
        let now = Instant::now();
        let mut topics = self.topics();
        let topic = topics.get_mut(topic)?;
        while let Some(queued) = topic.jobs.pop_front() {
            if !queued.is_expired(now) {
                if !topic.jobs.is_empty() {
                    topic.ready.notify_one();
                }
                return Some(queued.job);
            }
        }
        None
    }
}

impl Transport for Memory {
    type Session = MemorySession;

    async fn connect(&self, inbox: Inbox) -> Result<MemorySession, BoxError> {
        Ok(MemorySession {
            broker: Arc::clone(&self.0),
            inbox,
        })
    }

    fn check(&self) -> Result<(), String> {
        self.0.mistakes.check()
    }
}

/// The session of a [`Memory`] broker.
#[derive(Debug)]
pub struct MemorySession {
    broker: Arc<Broker>,
    inbox: Inbox,
}

impl Session for MemorySession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        let now = Instant::now();
        let Some(room) = self.broker.room().await else {
            return Err(Error::UpstreamUnreachable("the broker is closed".into()));
        };
        let queued = Queued {
            job: Job {
                topic: message.topic.to_owned(),
                message: message.message().clone(),
                id: message.id,
                headers: message.headers.to_vec(),
                inbox: message.expects_reply.then(|| self.inbox.clone()),
            },
            expires: message.expects_reply.then(|| now + message.expires_in),
            _room: room,
        };
        let mut topics = self.broker.topics();
        let topic = topics.entry(message.topic.to_owned()).or_default();
        topic.jobs.push_back(queued);
        topic.ready.notify_one();
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        pending().await
    }
}

/// Takes messages of one topic from a [`Memory`] broker.
pub struct Worker {
    broker: Arc<Broker>,
    topic: String,
    ready: Arc<Notify>,
}

impl Worker {
    /// Waits for a message. Dropping the future loses no message.
    pub async fn next(&mut self) -> Job {
        loop {
            let ready = self.ready.notified();
            if let Some(job) = self.broker.take(&self.topic) {
                return job;
            }
            ready.await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut topics = self.broker.topics();
        if let Some(topic) = topics.get_mut(&self.topic) {
            topic.workers -= 1;
            if topic.workers == 0 && topic.jobs.is_empty() {
                topics.remove(&self.topic);
            } else {
                // This worker may have consumed a wake-up that another worker needs.
                topic.ready.notify_one();
            }
        }
    }
}

/// A message that a [`Worker`] has taken.
#[derive(Debug, Clone)]
pub struct Job {
    topic: String,
    message: Message,
    id: CorrelationId,
    headers: Vec<(Cow<'static, str>, String)>,
    inbox: Option<Inbox>,
}

impl Job {
    /// The topic that the message was published to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The id that ties the reply to the request.
    pub fn id(&self) -> CorrelationId {
        self.id
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Whether the request expects a reply.
    pub fn expects_reply(&self) -> bool {
        self.inbox.is_some()
    }

    /// Sends the reply; the first one wins. Returns `false` if it was dropped or no reply is expected.
    pub fn reply(&self, message: impl Into<Message>) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.reply(self.id, message))
    }

    /// Sends a part of the reply; see [`Inbox::part`]. [`reply`](Self::reply) sends the last part. Returns `false` if
    /// it was dropped or no reply is expected.
    ///
    /// ```
    /// use wasabi::queue::Job;
    ///
    /// fn render(job: &Job) {
    ///     job.part(1, "half of it");
    ///     job.reply("all of it");
    /// }
    /// ```
    pub fn part(&self, number: u64, message: impl Into<Message>) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.part(self.id, number, message))
    }

    /// Fails the request with an error, even after parts of its reply. Returns `false` if no request waits.
    pub fn fail(&self, error: Error) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.fail(self.id, error))
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("room", &self.room.available_permits())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.0).finish()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
