//! Redis as the engine of a cluster, with its Pub/Sub and streams.

mod feed;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisError, Value,
    aio::MultiplexedConnection, from_redis_value,
};
use tokio::sync::OnceCell;

use self::feed::Reading;
use super::{
    Cluster,
    engine::{Engine, EngineSession},
    feed::{Feed, Page, Record},
    inlet::Inlet,
};
use crate::{
    BoxError, Error, Position, Result, Stored,
    backend::{
        broker::session_task::{Ending, SessionTask},
        queue::Redis,
    },
};

/// How long Redis may take for a command. Longer than the cluster waits, so that it is the cluster that gives up.
const ANSWER: Duration = Duration::from_secs(10);
/// The commands that wait to be written to a connection.
const WRITE_QUEUE: usize = 64;
/// The commands that Redis has not confirmed yet; further ones wait.
const UNCONFIRMED: usize = 1024;

impl Cluster {
    /// A cluster over Redis, or Valkey, at a `redis://` or `valkey://` URL; `rediss://` and `valkeys://` use TLS. For
    /// certificates of your own pass a [`Redis`] to [`Cluster::new`].
    ///
    /// It needs Redis 6.2 or newer. It uses Pub/Sub channels with the prefix `wasabi.`. Pub/Sub channels belong to no
    /// database: clusters on one server need different [names](Cluster::name), whatever the number in their URLs. Redis
    /// Cluster and Sentinel are not supported.
    ///
    /// For [kept groups](crate::Kept) it stores a stream of about 100 000 messages, a counter, and the keys of messages for
    /// 5 minutes, under keys with the prefix `wasabi.`. Redis must not evict them. What it has acknowledged survives its
    /// end only as far as its own settings say: with `appendonly yes` and `appendfsync everysec`, up to a second of
    /// messages is lost when the machine fails, and then all members are told a gap.
    pub fn redis(url: impl AsRef<str>) -> Self {
        Self::new(Redis::new(url))
    }
}

impl Engine for Redis {
    type Session = RedisNode;

    async fn connect(&self, inlet: Inlet) -> Result<RedisNode, BoxError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(ANSWER))
            .set_pipeline_buffer_size(WRITE_QUEUE)
            .set_concurrency_limit(UNCONFIRMED);
        // What others publish must not hold up what this process does.
        let publisher = self.connect_with(config.clone(), None).await?;
        let ending = Ending::new();
        let at_end = ending.clone();
        let received = move |push: PushInfo| {
            match push.kind {
                PushKind::Message => hand_in(push.data, &inlet),
                PushKind::Disconnection => at_end.end(&"disconnected"),
                _ => {}
            }
            Ok::<_, BoxError>(())
        };
        let subscribing = config.clone().set_push_sender(received);
        let subscriber = self
            .connect_with(subscribing, Some(ProtocolVersion::RESP3))
            .await?;
        Ok(RedisNode {
            redis: self.clone(),
            config,
            publisher,
            subscriber,
            reader: OnceCell::new(),
            reading: Reading::default(),
            task: SessionTask::spawn(ending, std::future::pending()),
        })
    }

    fn keeps(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        self.check_connection()?;
        match self.max_len.is_some() {
            true => Err("`Redis::max_len` applies to queues only; remove it".to_owned()),
            false => Ok(()),
        }
    }
}

fn hand_in(data: Vec<Value>, inlet: &Inlet) {
    let mut data = data.into_iter();
    let channel = data.next().and_then(|value| from_redis_value(value).ok());
    let payload = data.next().and_then(|value| from_redis_value(value).ok());
    if let (Some(channel), Some(payload)) = (channel, payload) {
        let (channel, payload): (String, Bytes) = (channel, payload);
        inlet.receive(&channel, payload);
    }
}

/// A gateway's connections to [`Redis`].
pub struct RedisNode {
    redis: Redis,
    config: AsyncConnectionConfig,
    publisher: MultiplexedConnection,
    subscriber: MultiplexedConnection,
    /// Reading blocks a connection, so it gets its own when there is something to read.
    reader: OnceCell<MultiplexedConnection>,
    reading: Reading,
    task: SessionTask,
}

impl RedisNode {
    /// What an error tells the publisher.
    fn not_published(&self, error: RedisError) -> Error {
        match error.is_unrecoverable_error() || error.is_io_error() {
            true => {
                self.task.end(&error);
                Error::UpstreamLost(error.into())
            }
            // Redis has refused it.
            false => Error::UpstreamUnreachable(error.into()),
        }
    }

    async fn reader(&self) -> Result<MultiplexedConnection, BoxError> {
        let open = || self.redis.connect_with(self.config.clone(), None);
        Ok(self.reader.get_or_try_init(open).await?.clone())
    }
}

impl EngineSession for RedisNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(subject).arg(&*message);
        let published = publish.exec_async(&mut self.publisher.clone()).await;
        published.map_err(|error| self.not_published(error))
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        let store = feed::store(feed, &record);
        let stored = store.query_async(&mut self.publisher.clone()).await;
        let stored = stored.map_err(|error| self.not_published(error))?;
        // It is stored, wherever.
        feed::stored(stored).map_err(Error::UpstreamLost)
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        let mut reader = self.reader().await?;
        match feed::newest(&mut reader, feed).await? {
            Some(newest) => Ok(newest),
            None => Ok(self.store(feed, Record::first()).await?.position),
        }
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        let mut reader = self.reader().await?;
        let page = self.reading.read(&mut reader, feed, after).await;
        if let Err(error) = &page
            && let Some(error) = error.downcast_ref::<RedisError>()
            && (error.is_unrecoverable_error() || error.is_io_error())
        {
            self.task.end(error);
        }
        page
    }

    async fn subscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        let channels: Vec<_> = subjects.iter().map(|subject| &**subject).collect();
        Ok(self.subscriber.clone().subscribe(&*channels).await?)
    }

    async fn unsubscribe(&self, subjects: &[Arc<str>]) -> Result<(), BoxError> {
        let channels: Vec<_> = subjects.iter().map(|subject| &**subject).collect();
        Ok(self.subscriber.clone().unsubscribe(&*channels).await?)
    }

    async fn answers(&self) -> Result<(), BoxError> {
        for mut connection in [self.publisher.clone(), self.subscriber.clone()] {
            redis::cmd("PING").exec_async(&mut connection).await?;
        }
        Ok(())
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

impl fmt::Debug for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisNode").finish_non_exhaustive()
    }
}
