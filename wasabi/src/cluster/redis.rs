//! Redis as the engine of a cluster, with its Pub/Sub.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, Value, aio::MultiplexedConnection,
    from_redis_value,
};

use super::{
    Cluster,
    engine::{Engine, EngineSession},
    inlet::Inlet,
};
use crate::{
    BoxError, Error, Result,
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
    /// It needs Redis 6.2 or newer. It uses Pub/Sub channels with the prefix `wasabi.`, and stores nothing. Pub/Sub
    /// channels belong to no database: clusters on one server need different [names](Cluster::name), whatever the number
    /// in their URLs. Redis Cluster and Sentinel are not supported.
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
        let config = config.set_push_sender(received);
        let subscriber = self
            .connect_with(config, Some(ProtocolVersion::RESP3))
            .await?;
        Ok(RedisNode {
            publisher,
            subscriber,
            task: SessionTask::spawn(ending, std::future::pending()),
        })
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
    publisher: MultiplexedConnection,
    subscriber: MultiplexedConnection,
    task: SessionTask,
}

impl EngineSession for RedisNode {
    async fn tell(&self, subject: &str, message: Bytes) -> Result<()> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(subject).arg(&*message);
        match publish.exec_async(&mut self.publisher.clone()).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_unrecoverable_error() || error.is_io_error() => {
                self.task.end(&error);
                Err(Error::UpstreamLost(error.into()))
            }
            // Redis has refused it.
            Err(error) => Err(Error::UpstreamUnreachable(error.into())),
        }
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
