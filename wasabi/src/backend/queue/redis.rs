//! Redis, or a compatible broker, for a queue: streams in both directions.

pub(crate) mod servers;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, RedisError, Value, aio::MultiplexedConnection, from_redis_value,
};

#[cfg(not(feature = "tls"))]
use self::servers::NEEDS_TLS;
use self::servers::{At, Servers};
use super::{Inbox, Outgoing, Queue, Session, Transport, transport::expires_at};
use crate::{
    BoxError, Error, Result,
    backend::broker::session_task::{Ending, SessionTask},
    mistakes::Mistakes,
    sync::Unpoisoned,
};

/// Redis streams as the transport of a queue. It needs Redis 6.2 or newer, or Valkey.
///
/// ```
/// use wasabi::{Queue, queue::Redis};
///
/// let queue = Queue::redis("redis://127.0.0.1:6379/", "orders");
/// let short = Queue::new(Redis::new("redis://127.0.0.1:6379/").max_len(1_000), "orders");
/// # drop((queue, short));
/// ```
///
/// # For workers
///
/// A request is an entry in the stream that the topic names. Its fields:
///
/// | field | value |
/// |---|---|
/// | `id` | the correlation id |
/// | `reply_to` | the stream that the reply goes to; absent if no reply is expected |
/// | `kind` | `text` or `binary` |
/// | `payload` | the message |
/// | `expires_at` | when the gateway stops waiting, in milliseconds since 1970; absent if no reply is expected |
/// | others | the headers of the queue |
///
/// The reply is an entry in the stream `reply_to` with `id`, `kind` (text if absent; `error`, with a text for the
/// client, if the job failed) and `payload`. In a reply in parts, each part except the last one has the field `more`
/// with its number, counted from 1. Limit the length of that stream, and let it expire in case the gateway is gone:
///
/// ```text
/// XGROUP CREATE orders workers $ MKSTREAM                      once; BUSYGROUP means that it is there
/// XREADGROUP GROUP workers w1 COUNT 10 BLOCK 0 STREAMS orders >
/// XADD <reply_to> MAXLEN ~ 10000 * id <id> kind text payload <payload>
/// EXPIRE <reply_to> 300
/// XACK orders workers <entry>
/// ```
///
/// # Limits
///
/// The topic's stream is trimmed to about [`max_len`](Self::max_len) entries with each message, so it does not grow
/// without workers: the oldest requests are removed and time out. Redis keeps replies while the gateway reconnects.
/// Sentinels and Redis Cluster are not supported.
///
/// If the key of the reply stream holds another type, the gateway deletes it, because no worker could reply any more.
/// This counts as one [malformed](super::DroppedReplies::malformed) reply.
///
/// # Memory
///
/// The client library holds up to 64 messages that wait to be written, and up to 1024 that wait for Redis to confirm
/// them. Replies are read in batches of up to 256. Redis cannot limit the size of such a batch, so limit the size of
/// what workers reply.
///
/// # TLS
///
/// A URL with the scheme `rediss` is encrypted; it needs the cargo feature `tls`. The server's certificate must be
/// valid for the host of the URL and come from an authority that the system trusts, or as `tls_config` says.
///
/// With `rediss+sentinel` and `rediss+cluster` it must also be valid for the host by which Sentinels, or the nodes of the
/// Redis Cluster, name a server. By default that is an IP address. For certificates with names configure names there:
/// `sentinel resolve-hostnames yes` and `sentinel announce-hostnames yes`, or `cluster-announce-hostname` on each node and
/// `cluster-preferred-endpoint-type hostname` (Redis 7).
#[derive(Clone)]
pub struct Redis {
    servers: Result<Servers, String>,
    /// The user and the password for Sentinels.
    sentinel_user: Option<(String, String)>,
    #[cfg(feature = "tls")]
    tls: crate::backend::broker::tls::TlsSettings,
    pub(crate) max_len: Option<usize>,
    /// The last reply that has been read; the next session continues after it.
    last: Arc<Mutex<String>>,
    mistakes: Mistakes,
}

/// By default, about how many requests the stream of a topic keeps.
const MAX_LEN: usize = 100_000;
const START: &str = "0-0";
const BLOCK: Duration = Duration::from_secs(5);
/// How long Redis keeps replies for a gateway that does not read them.
const KEEP: Duration = Duration::from_secs(300);
const BATCH: usize = 256;
/// The maximum number of messages that wait to be written to the connection.
const WRITE_QUEUE: usize = 64;
/// The maximum number of messages that Redis has not confirmed yet; further ones wait.
const UNCONFIRMED: usize = 1024;

impl Redis {
    /// Makes a transport for Redis, or Valkey, at a `redis://` or `valkey://` URL; `rediss://` and `valkeys://` use TLS. For
    /// a [`Cluster`](crate::Cluster::redis) it may be the URL of Sentinels or of a Redis Cluster as well.
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            servers: Servers::of(url.as_ref()),
            sentinel_user: None,
            #[cfg(feature = "tls")]
            tls: crate::backend::broker::tls::TlsSettings::default(),
            max_len: None,
            last: Arc::new(Mutex::new(START.to_owned())),
            mistakes: Mistakes::default(),
        }
    }

    /// Sets the approximate maximum number of requests in a topic's stream; the default is 100 000.
    #[must_use]
    pub fn max_len(mut self, entries: usize) -> Self {
        self.max_len = Some(self.mistakes.above_zero("Redis::max_len", entries));
        self
    }

    /// Authenticates with Sentinels as this user; where they have only a password, the user is `default`. What is in the URL
    /// is for the servers that they watch. By default the gateway does not authenticate with Sentinels.
    #[must_use]
    pub fn sentinel_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.sentinel_user = Some((name.into(), password.into()));
        self
    }

    /// Sets the TLS configuration for `rediss`, for your own certificates or a client certificate. By default the
    /// system's certificates are trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.tls.set(config.into());
        self
    }

    async fn open_for_queue(&self) -> Result<MultiplexedConnection, BoxError> {
        let config = AsyncConnectionConfig::new()
            // A read without replies returns after `BLOCK`; a connection that takes twice as long is dead.
            .set_response_timeout(Some(BLOCK * 2))
            .set_pipeline_buffer_size(WRITE_QUEUE)
            .set_concurrency_limit(UNCONFIRMED);
        self.connect_to(&self.server("").await?, config, None).await
    }

    /// Checks the URL and TLS.
    pub(crate) fn check_connection(&self) -> Result<(), String> {
        let servers = self.servers.as_ref().map_err(String::clone)?;
        if self.sentinel_user.is_some() && !matches!(servers.at, At::Sentinels(_)) {
            return Err("`sentinel_user` needs a URL with the scheme `redis+sentinel`".to_owned());
        }
        #[cfg(not(feature = "tls"))]
        if servers.is_encrypted {
            return Err(NEEDS_TLS.to_owned());
        }
        #[cfg(feature = "tls")]
        self.tls.check(servers.is_encrypted, "rediss")?;
        Ok(())
    }
}

impl Queue<Redis> {
    /// Makes a queue over [`Redis`] streams, at a `redis://` or `rediss://` URL. The topic is the key of a stream.
    pub fn redis(url: impl AsRef<str>, topic: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::new(Redis::new(url), topic)
    }
}

impl Transport for Redis {
    type Session = RedisSession;

    async fn connect(&self, inbox: Inbox) -> Result<RedisSession, BoxError> {
        let publisher = self.open_for_queue().await?;
        // Reading blocks a connection, so it gets its own.
        let mut reader = self.open_for_queue().await?;
        let replies = format!("wasabi:replies:{}", inbox.instance());

        // A server that has lost its data may assign earlier ids.
        let exists: bool = redis::cmd("EXISTS")
            .arg(&replies)
            .query_async(&mut reader)
            .await?;
        if !exists {
            START.clone_into(&mut self.last.lock().unpoisoned());
        }
        let read = read(reader, inbox, replies.clone(), Arc::clone(&self.last));
        Ok(RedisSession {
            publisher,
            replies,
            max_len: self.max_len.unwrap_or(MAX_LEN),
            task: SessionTask::spawn(Ending::new(), read),
        })
    }

    fn keeps_replies(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        self.check_connection()?;
        if self.fails_over() {
            return Err(
                "a queue needs the URL of one server, `redis://..`: Sentinels and Redis Cluster are for `Cluster` only".to_owned(),
            );
        }
        self.mistakes.check()
    }
}

/// Reads replies until the connection breaks.
async fn read(
    mut connection: MultiplexedConnection,
    inbox: Inbox,
    replies: String,
    last: Arc<Mutex<String>>,
) -> BoxError {
    loop {
        let after = last.lock().unpoisoned().clone();
        let mut commands = redis::pipe();
        commands
            .cmd("XTRIM")
            .arg(&replies)
            .arg("MINID")
            .arg(&after)
            .ignore()
            .cmd("EXPIRE")
            .arg(&replies)
            .arg(KEEP.as_secs())
            .ignore()
            .cmd("XREAD")
            .arg("COUNT")
            .arg(BATCH)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64)
            .arg("STREAMS")
            .arg(&replies)
            .arg(&after);
        let (streams,): (Option<Streams>,) = match commands.query_async(&mut connection).await {
            Ok(read) => read,
            Err(error) => match is_of_another_type(&mut connection, &replies).await {
                Ok(true) => {
                    // Deleted, because no worker could add a reply.
                    let mut delete = redis::cmd("UNLINK");
                    delete.arg(&replies);
                    if let Err(error) = delete.exec_async(&mut connection).await {
                        return error.into();
                    }
                    inbox.malformed("a key of another type was in the place of the replies");
                    START.clone_into(&mut last.lock().unpoisoned());
                    continue;
                }
                Ok(false) | Err(_) => return error.into(),
            },
        };
        for (_, entries) in streams.into_iter().flatten() {
            for (entry, fields) in entries {
                match from_redis_value::<Fields>(fields) {
                    Ok(fields) => hand_in(fields, &inbox),
                    Err(error) => inbox.malformed(error),
                }
                *last.lock().unpoisoned() = entry;
            }
        }
    }
}

/// Whether the key of the replies exists and holds another type than a stream.
async fn is_of_another_type(
    connection: &mut MultiplexedConnection,
    replies: &str,
) -> Result<bool, RedisError> {
    let kind: String = redis::cmd("TYPE")
        .arg(replies)
        .query_async(connection)
        .await?;
    Ok(kind != "stream" && kind != "none")
}

fn hand_in(mut fields: Fields, inbox: &Inbox) {
    let id = fields.remove(&b"id"[..]).unwrap_or_default();
    let kind = fields.remove(&b"kind"[..]);
    let more = fields.remove(&b"more"[..]);
    let payload = fields.remove(&b"payload"[..]).unwrap_or_default();
    let id = std::str::from_utf8(&id).unwrap_or_default();
    inbox.reply_with(id, kind.as_deref(), more.as_deref(), payload);
}

/// Entries by stream: their ids and fields. A worker may write anything into the fields.
type Streams = Vec<(Value, Vec<(String, Value)>)>;

type Fields = HashMap<Bytes, Bytes>;

/// A connection to [`Redis`].
pub struct RedisSession {
    publisher: MultiplexedConnection,
    replies: String,
    max_len: usize,
    task: SessionTask,
}

impl Session for RedisSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        let mut add = redis::cmd("XADD");
        add.arg(message.topic)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.max_len)
            .arg("*")
            .arg("id")
            .arg(message.id.as_str())
            .arg("kind")
            .arg(message.kind())
            .arg("payload")
            .arg(message.message().as_bytes());
        if message.expects_reply {
            add.arg("reply_to").arg(&self.replies);
            add.arg("expires_at").arg(expires_at(message.expires_in));
        }
        for (name, value) in message.headers {
            add.arg(name.as_ref()).arg(value);
        }
        match add.exec_async(&mut self.publisher.clone()).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_unrecoverable_error() || error.is_io_error() => {
                self.task.end(&error);
                Err(Error::UpstreamLost(error.into()))
            }
            // Redis has refused it.
            Err(error) => Err(Error::UpstreamUnreachable(error.into())),
        }
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("max_len", &self.max_len)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSession")
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}
