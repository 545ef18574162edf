//! Redis as the engine of a cluster, with its Pub/Sub and streams.

mod feed;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError,
    ServerErrorKind, Value, aio::MultiplexedConnection, from_redis_value,
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
        queue::{Redis, servers},
    },
};

/// How long Redis may take for a command. Longer than the cluster waits, so that it is the cluster that gives up.
const ANSWER: Duration = Duration::from_secs(10);
/// The commands that wait to be written to a connection.
const WRITE_QUEUE: usize = 64;
/// The commands that Redis has not confirmed yet; further ones wait.
const UNCONFIRMED: usize = 1024;

impl Cluster {
    /// A cluster over Redis, or Valkey, at one of these URLs:
    ///
    /// * `redis://user:password@host:6379`: a server;
    /// * `redis+sentinel://user:password@host:26379,host:26379/mymaster`: the primary that Sentinels know by this name. The
    ///   user and the password are those of the primary; for Sentinels that ask for one, see
    ///   [`Redis::sentinel_user`];
    /// * `redis+cluster://user:password@host:6379,host:6379`: a Redis Cluster, of which these are some nodes.
    ///
    /// They may begin with `valkey` as well; with `rediss` or `valkeys`, all connections use TLS. For certificates of your
    /// own pass a [`Redis`] to [`Cluster::new`].
    ///
    /// It needs Redis 6.2 or newer. It uses Pub/Sub channels with the prefix `wasabi.`. Pub/Sub channels belong to no
    /// database: clusters on one server need different [names](Cluster::name), whatever the number in their URLs. In a
    /// Redis Cluster everything of a cluster is at the one node that has its keys, so that clusters with different names
    /// are spread over the nodes. There, and with Sentinels, its user must be allowed the command `INFO`, and in a Redis
    /// Cluster also `EXISTS` for the key `wasabi.{name}.feed`, even without kept groups.
    ///
    /// For [kept groups](crate::Kept) it stores a stream of about 100 000 messages, a counter, and the keys of messages for
    /// 5 minutes, under keys with the prefix `wasabi.`. Redis must not evict them. What it has acknowledged survives its
    /// end only as far as its own settings say: with `appendonly yes` and `appendfsync everysec`, up to a second of
    /// messages is lost when the machine fails, and then all members are told a gap. Replication acknowledges messages that
    /// no replica has: when another server has taken the place of the primary, or a primary with Sentinels or in a Redis
    /// Cluster has restarted, all members are told a gap, and no position from before is recovered, whether or not messages
    /// were lost.
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
        let ending = Ending::new();
        let at = Arc::new(OnceLock::new());
        let (switched, here) = (ending.clone(), Arc::clone(&at));
        // Before the primary is asked for, so that no change is missed. Sentinels that hear of it later name the server that
        // the session is with already.
        let watch = self.watch(move |primary| {
            if here.get() != Some(&primary) {
                switched.end(&"Sentinel: another primary");
            }
        });
        let watch = watch.await?;
        let key = feed::key(inlet.cluster(), "feed");
        let server = self.server(&key).await?;
        let _ = at.set(server.clone());
        // What others publish must not hold up what this process does.
        let mut publisher = self.connect_to(&server, config.clone(), None).await?;
        let run = match self.fails_over() {
            true => Some(primary(&mut publisher).await?),
            false => None,
        };
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
            .connect_to(&server, subscribing, Some(ProtocolVersion::RESP3))
            .await?;
        Ok(RedisNode {
            redis: self.clone(),
            config,
            server,
            key: self.is_cluster().then_some(key),
            run,
            _watch: watch,
            publisher,
            subscriber,
            reader: OnceCell::new(),
            has_told: OnceCell::new(),
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
    server: servers::Addr,
    /// The key of the feed, in a Redis Cluster.
    key: Option<String>,
    /// The run of the server, if another one may take its place.
    run: Option<String>,
    /// The Sentinels, which say when another one has.
    _watch: Option<servers::Watch>,
    publisher: MultiplexedConnection,
    subscriber: MultiplexedConnection,
    /// Reading blocks a connection, so it gets its own when there is something to read.
    reader: OnceCell<MultiplexedConnection>,
    /// Set once every reader can see that this server has taken the place of another.
    has_told: OnceCell<()>,
    reading: Reading,
    task: SessionTask,
}

impl RedisNode {
    /// What an error tells the publisher.
    fn not_published(&self, error: RedisError) -> Error {
        if is_over(&error) {
            self.task.end(&error);
        }
        match error.is_unrecoverable_error() || error.is_io_error() {
            true => Error::UpstreamLost(error.into()),
            // Redis has refused it.
            false => Error::UpstreamUnreachable(error.into()),
        }
    }

    /// What an error says about the feed.
    fn not_read(&self, error: BoxError) -> BoxError {
        if let Some(error) = error.downcast_ref::<RedisError>()
            && is_over(error)
        {
            self.task.end(error);
        }
        error
    }

    /// A connection to read the feed with, which shows each failover.
    async fn reader(&self, feed: &Feed) -> Result<MultiplexedConnection, BoxError> {
        let open = || {
            self.redis
                .connect_to(&self.server, self.config.clone(), None)
        };
        let reader = self.reader.get_or_try_init(open).await?.clone();
        let tell = || self.tell_failover(reader.clone(), feed);
        self.has_told.get_or_try_init(tell).await?;
        Ok(reader)
    }

    /// Where another server has stored the last entry, a new one without the number that follows tells every reader a gap.
    async fn tell_failover(
        &self,
        mut reader: MultiplexedConnection,
        feed: &Feed,
    ) -> Result<(), BoxError> {
        if let Some(run) = &self.run
            && !feed::is_of(&mut reader, feed, run).await?
        {
            self.store(feed, Record::first()).await?;
        }
        Ok(())
    }
}

/// The run of a server, which must be a primary.
async fn primary(connection: &mut MultiplexedConnection) -> Result<String, BoxError> {
    let identity = servers::identity(connection).await?;
    match identity.is_primary {
        true => Ok(identity.run),
        false => Err("the server is no longer a primary".into()),
    }
}

/// Whether the session is of no use after this error.
fn is_over(error: &RedisError) -> bool {
    let elsewhere = [
        ServerErrorKind::Moved,
        ServerErrorKind::ReadOnly,
        ServerErrorKind::ClusterDown,
    ];
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(error.kind(), ErrorKind::Server(kind) if elsewhere.contains(&kind))
}

impl EngineSession for RedisNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(subject).arg(&*message);
        let published = publish.exec_async(&mut self.publisher.clone()).await;
        published.map_err(|error| self.not_published(error))
    }

    async fn store(&self, feed: &Feed, record: Record) -> Result<Stored> {
        let store = feed::store(feed, &record, self.run.as_deref());
        let stored = store.query_async(&mut self.publisher.clone()).await;
        let stored = stored.map_err(|error| self.not_published(error))?;
        // It is stored, wherever.
        feed::stored(stored).map_err(Error::UpstreamLost)
    }

    async fn newest(&self, feed: &Feed) -> Result<Position, BoxError> {
        let newest = async {
            let mut reader = self.reader(feed).await?;
            match feed::newest(&mut reader, feed).await? {
                Some(newest) => Ok::<_, BoxError>(newest),
                None => Ok(self.store(feed, Record::first()).await?.position),
            }
        };
        newest.await.map_err(|error| self.not_read(error))
    }

    async fn read(&self, feed: &Feed, after: Option<Position>) -> Result<Page, BoxError> {
        let reading = async {
            let mut reader = self.reader(feed).await?;
            self.reading.read(&mut reader, feed, after).await
        };
        reading.await.map_err(|error| self.not_read(error))
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
        let mut publisher = self.publisher.clone();
        match self.run {
            Some(_) => drop(primary(&mut publisher).await?),
            None => redis::cmd("PING").exec_async(&mut publisher).await?,
        }
        if let Some(key) = &self.key {
            servers::has_slot(&mut publisher, key).await?;
        }
        let mut subscriber = self.subscriber.clone();
        Ok(redis::cmd("PING").exec_async(&mut subscriber).await?)
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
