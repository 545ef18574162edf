//! Redis, or what speaks its protocol, as the broker of a queue: streams in both directions.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, RedisError, Value, aio::MultiplexedConnection,
    from_redis_value,
};
use tokio::time::timeout;

use super::{
    Inbox, Outgoing, Queue, Session, Transport,
    session_task::{Ending, SessionTask},
    socket::{self, CONNECT_TIMEOUT},
    transport::expires_at,
};
use crate::{BoxError, Error, Result, mistakes::Mistakes, sync::Unpoisoned};
use wasabi_rules::schemes;

/// Redis streams as the transport of a queue. Redis 6.2 or newer, Valkey too.
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
/// A request is an entry of the stream that is the queue's topic. Its fields:
///
/// | field | value |
/// |---|---|
/// | `id` | the correlation id |
/// | `reply_to` | the stream that the reply goes to; absent when no reply is expected |
/// | `kind` | `text` or `binary` |
/// | `payload` | the message |
/// | `expires_at` | when nobody will wait any more, in milliseconds since 1970; absent when no reply is expected |
/// | others | the headers of the queue |
///
/// The reply is an entry of the stream `reply_to` with `id`, `kind` (text if absent; `error` with a text for the client if
/// the job has failed) and `payload`. In a reply in parts each but the last one has the field `more` with its number, from 1.
/// Limit that stream,
/// and let it expire for the case that the gateway has gone:
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
/// The topic's stream is trimmed to about [`max_len`](Self::max_len) entries with each message, so that it does not grow
/// when there are no workers: the oldest requests go, and time out. Replies are kept in Redis while the gateway
/// reconnects. Clusters are not supported.
///
/// Where something else than a stream is in the place of the replies, it is deleted, for no worker could reply any more:
/// that counts as one [malformed](super::DroppedReplies::malformed) reply.
///
/// # Memory
///
/// The client library holds up to 64 messages that wait to be written, and up to 1024 may wait for Redis to confirm them.
/// Replies are read in batches of up to 256; Redis has no limit by which a batch could be kept from having very long ones,
/// so limit what workers reply with.
///
/// # TLS
///
/// A URL with the scheme `rediss` is encrypted, with the cargo feature `tls`. The certificate of the server must be for
/// the host of the URL, from an authority that the system trusts, or as `tls_config` says.
pub struct Redis {
    client: Result<Client, String>,
    /// Whether the connection is encrypted; the client knows the URL as one that is not.
    is_encrypted: bool,
    #[cfg(feature = "tls")]
    tls: super::tls::Settings,
    max_len: usize,
    /// The last reply that has been read; the next session goes on after it.
    last: Arc<Mutex<String>>,
    mistakes: Mistakes,
}

#[cfg(not(feature = "tls"))]
const NEEDS_TLS: &str = "`rediss` needs the cargo feature `tls` of wasabi";

const START: &str = "0-0";
const BLOCK: Duration = Duration::from_secs(5);
/// How long replies are kept for a gateway that does not read them.
const KEEP: Duration = Duration::from_secs(300);
const BATCH: usize = 256;
/// Messages that wait to be written to the connection.
const WRITE_QUEUE: usize = 64;
/// Messages that Redis has not confirmed yet; further ones wait.
const UNCONFIRMED: usize = 1024;

impl Redis {
    /// Redis at a `redis://` or `rediss://` URL.
    pub fn new(url: impl AsRef<str>) -> Self {
        let url = url.as_ref();
        // TLS is done here, with the same settings as for other upstreams.
        let encrypted = ["rediss://", "valkeys://"];
        let rest = encrypted.iter().find_map(|scheme| url.strip_prefix(scheme));
        let client = match rest {
            None => Client::open(url),
            Some(rest) => Client::open(format!("redis://{rest}")),
        };
        let checked = wasabi_rules::url(url, schemes::REDIS);
        let mut client = checked.and_then(|_| client.map_err(|error| error.to_string()));
        if rest.is_some_and(|rest| rest.contains('#')) {
            client = Err("certificates are always verified, so it has no fragment".to_owned());
        }
        Self {
            client,
            is_encrypted: rest.is_some(),
            #[cfg(feature = "tls")]
            tls: super::tls::Settings::default(),
            max_len: 100_000,
            last: Arc::new(Mutex::new(START.to_owned())),
            mistakes: Mistakes::default(),
        }
    }

    /// About how many requests a topic's stream holds at most, 100 000 if not set.
    #[must_use]
    pub fn max_len(mut self, entries: usize) -> Self {
        self.max_len = self.mistakes.above_zero("Redis::max_len", entries);
        self
    }

    /// The TLS configuration for `rediss`: for certificates of one's own, or one for this client. If not set, the
    /// system's certificates are trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.tls.set(config.into());
        self
    }

    async fn open(&self) -> Result<MultiplexedConnection, BoxError> {
        let client = self.client.as_ref().map_err(|mistake| mistake.as_str())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            // A reader waits for this long when there is nothing, and then some: longer is a dead connection.
            .set_response_timeout(Some(BLOCK * 2))
            .set_pipeline_buffer_size(WRITE_QUEUE)
            .set_concurrency_limit(UNCONFIRMED);
        let info = client.get_connection_info();
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            // A Unix socket.
            let opening = client.get_multiplexed_async_connection_with_config(&config);
            return Ok(opening.await?);
        };
        #[cfg(feature = "tls")]
        let tls = self.is_encrypted.then_some(&self.tls);
        #[cfg(not(feature = "tls"))]
        let tls = match self.is_encrypted {
            true => return Err(NEEDS_TLS.into()),
            false => None,
        };
        let stream = socket::connect(host, *port, tls).await?;
        let opening = MultiplexedConnection::new_with_config(info.redis_settings(), stream, config);
        let (connection, driver) = timeout(CONNECT_TIMEOUT, opening).await??;
        tokio::spawn(driver);
        Ok(connection)
    }
}

impl Queue<Redis> {
    /// A queue over [`Redis`] streams, at a `redis://` or `rediss://` URL. The topic is the key of a stream.
    pub fn redis(url: impl AsRef<str>, topic: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::new(Redis::new(url), topic)
    }
}

impl Transport for Redis {
    type Session = RedisSession;

    async fn connect(&self, inbox: Inbox) -> Result<RedisSession, BoxError> {
        let publisher = self.open().await?;
        // Reading blocks a connection, so it has its own.
        let mut reader = self.open().await?;
        let replies = format!("wasabi:replies:{}", inbox.instance());

        // A server that has forgotten everything may also count from an earlier time.
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
            max_len: self.max_len,
            task: SessionTask::spawn(Ending::new(), read),
        })
    }

    fn keeps_replies(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        if let Err(mistake) = &self.client {
            return Err(mistake.clone());
        }
        self.mistakes.check()?;
        #[cfg(not(feature = "tls"))]
        if self.is_encrypted {
            return Err(NEEDS_TLS.to_owned());
        }
        #[cfg(feature = "tls")]
        self.tls.check(self.is_encrypted, "rediss")?;
        Ok(())
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
                    // No worker could add a reply any more.
                    let mut delete = redis::cmd("UNLINK");
                    delete.arg(&replies);
                    if let Err(error) = delete.exec_async(&mut connection).await {
                        return error.into();
                    }
                    inbox.malformed("something else was in the place of the replies");
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

/// Whether the key of the replies is there and holds no stream.
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

/// Entries by stream: their ids and fields. A worker may write anything into these.
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
