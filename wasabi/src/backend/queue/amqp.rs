//! RabbitMQ as the broker of a queue, over AMQP 0-9-1 with direct reply-to.

mod legible;
mod streams;

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Event,
    options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
    uri::{AMQPScheme, AMQPUri},
};
use tokio::sync::{mpsc, oneshot};

use super::{Inbox, Outgoing, Queue, Session, Transport};
use crate::{
    BoxError, Error, Result,
    backend::broker::session_task::{Ending, SessionTask},
};
use wasabi_rules::schemes;

/// RabbitMQ as the transport of a queue.
///
/// ```
/// use wasabi::Queue;
///
/// let queue = Queue::amqp("amqp://guest:guest@127.0.0.1:5672/%2f", "orders");
/// # drop(queue);
/// ```
///
/// # For workers
///
/// A request goes through the default exchange to the queue named by the topic. The worker declares that queue; while
/// it does not exist, requests fail at once with `upstream_unreachable`. Properties of a request:
///
/// | property | value |
/// |---|---|
/// | `correlation_id` | the correlation id |
/// | `reply_to` | where the reply goes; absent if no reply is expected |
/// | `type` | `text` or `binary` |
/// | `expiration` | when the gateway stops waiting and RabbitMQ drops the request; absent if no reply is expected |
/// | `headers` | the headers of the queue |
///
/// The worker publishes the reply through the default exchange with the routing key `reply_to`, the same
/// `correlation_id`, and `type` (text if absent; `error`, with a text for the client, if the job failed). In a reply in
/// parts, each part except the last one has the header `more` with its number, counted from 1, as a number or a string.
///
/// # Limits
///
/// Replies arrive by [direct reply-to](https://www.rabbitmq.com/docs/direct-reply-to), which is the fastest way and
/// leaves no queues behind. They belong to the connection: requests in flight when it breaks fail with `upstream_lost`.
/// Only the properties and headers above are read from a reply; one that is not valid UTF-8 is treated as absent.
///
/// # Memory
///
/// Up to 64 messages wait to be written, and up to 1024 wait for RabbitMQ to confirm them. Direct reply-to has no
/// acknowledgements that could slow RabbitMQ down, so replies are read as they arrive. The client library holds those
/// that arrive at once: at most one for each pending request. None of them is longer than RabbitMQ's
/// `max_message_size`.
///
/// # TLS
///
/// A URL with the scheme `amqps` is encrypted; it needs the cargo feature `tls`. The server's certificate must be valid
/// for the host of the URL and come from an authority that the system trusts, or as `tls_config` says.
pub struct Amqp {
    uri: Result<AMQPUri, String>,
    #[cfg(feature = "tls")]
    tls: crate::backend::broker::tls::TlsSettings,
}

#[cfg(not(feature = "tls"))]
const NEEDS_TLS: &str = "`amqps` needs the cargo feature `tls` of wasabi";

/// In seconds. After two of them without a sign of life the connection is lost.
const HEARTBEAT: u16 = 10;
/// The maximum number of messages that wait to be written to the connection.
const WRITE_QUEUE: usize = 64;
/// The maximum number of messages that RabbitMQ has not confirmed yet; further ones wait.
const UNCONFIRMED: usize = 1024;

impl Amqp {
    /// Makes a transport for RabbitMQ at an `amqp://` or `amqps://` URL.
    pub fn new(url: impl AsRef<str>) -> Self {
        let url = url.as_ref();
        Self {
            uri: wasabi_rules::url(url, schemes::AMQP).and_then(|_| url.parse()),
            #[cfg(feature = "tls")]
            tls: crate::backend::broker::tls::TlsSettings::default(),
        }
    }

    /// Sets the TLS configuration for `amqps`, for your own certificates or a client certificate. By default the
    /// system's certificates are trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(mut self, config: impl Into<std::sync::Arc<rustls::ClientConfig>>) -> Self {
        self.tls.set(config.into());
        self
    }

    async fn open(&self) -> Result<Connection, BoxError> {
        let mut uri = self.uri.clone()?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let properties = ConnectionProperties::default().with_connection_name("wasabi".into());
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            #[cfg(feature = "tls")]
            AMQPScheme::AMQPS => Some(self.tls.clone()),
            #[cfg(not(feature = "tls"))]
            AMQPScheme::AMQPS => return Err(NEEDS_TLS.into()),
        };
        Ok(streams::connect(uri, properties, tls).await?)
    }
}

impl Queue<Amqp> {
    /// Makes a queue over [`Amqp`], at an `amqp://` or `amqps://` URL. The topic is the name of a RabbitMQ queue.
    pub fn amqp(url: impl AsRef<str>, queue: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Amqp::new(url), queue)
    }
}

impl Transport for Amqp {
    type Session = AmqpSession;

    async fn connect(&self, inbox: Inbox) -> Result<AmqpSession, BoxError> {
        let connection = self.open().await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        // Direct reply-to requires that requests are published on the channel that consumes their replies.
        let replies = channel
            .basic_consume(
                REPLY_TO.into(),
                "".into(),
                BasicConsumeOptions {
                    no_ack: true,
                    ..Default::default()
                },
                FieldTable::default(),
            )
            .await?;
        let (publisher, messages) = mpsc::channel(WRITE_QUEUE);
        let task = async move {
            let events = connection.events_listener();
            tokio::select! {
                error = broken(events) => error,
                error = read(replies, inbox) => error,
                error = write(channel, messages) => error,
            }
        };
        Ok(AmqpSession {
            publisher,
            task: SessionTask::spawn(Ending::new(), task),
        })
    }

    fn check(&self) -> Result<(), String> {
        let uri = match &self.uri {
            Ok(uri) => uri,
            Err(mistake) => return Err(mistake.clone()),
        };
        let is_encrypted = uri.scheme == AMQPScheme::AMQPS;
        #[cfg(not(feature = "tls"))]
        if is_encrypted {
            return Err(NEEDS_TLS.to_owned());
        }
        #[cfg(feature = "tls")]
        self.tls.check(is_encrypted, "amqps")?;
        Ok(())
    }
}

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

async fn broken(events: impl futures_util::Stream<Item = Event>) -> BoxError {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let Event::Error(error) = event {
            return error.into();
        }
    }
    "the connection has ended".into()
}

/// Reads replies until the connection breaks.
async fn read(mut replies: Consumer, inbox: Inbox) -> BoxError {
    while let Some(delivery) = replies.next().await {
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => return error.into(),
        };
        let id = delivery.properties.correlation_id().as_ref();
        let kind = delivery.properties.kind().as_ref();
        let headers = delivery.properties.headers().as_ref();
        let more = match headers.and_then(|headers| headers.inner().get("more")) {
            Some(AMQPValue::LongString(more)) => Some(more.as_bytes()),
            _ => None,
        };
        inbox.reply_with(
            id.map_or("", ShortString::as_str),
            kind.map(|kind| kind.as_str().as_bytes()),
            more,
            Bytes::from(delivery.data),
        );
    }
    "the consumer has ended".into()
}

/// Writes messages and waits for their confirmations until the connection breaks, even if their requests have ended.
async fn write(channel: Channel, mut messages: mpsc::Receiver<Publish>) -> BoxError {
    let mut unconfirmed = FuturesUnordered::new();
    loop {
        let Publish {
            topic,
            payload,
            properties,
            done,
        } = tokio::select! {
            message = messages.recv(), if unconfirmed.len() < UNCONFIRMED => match message {
                Some(message) => message,
                None => return "the gateway ended the session".into(),
            },
            Some(()) = unconfirmed.next() => continue,
        };
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let written = channel.basic_publish("".into(), topic, options, &payload, properties);
        match written.await {
            Ok(confirm) => unconfirmed.push(confirm.map(|confirmed| {
                let _ = done.send(match confirmed {
                    Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(()),
                    Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(_)) => Err(
                        Error::UpstreamUnreachable("the queue does not exist".into()),
                    ),
                    Err(error) => Err(Error::UpstreamLost(error.into())),
                });
            })),
            Err(error) => {
                let reason: BoxError = error.to_string().into();
                let _ = done.send(Err(Error::UpstreamLost(error.into())));
                return reason;
            }
        }
    }
}

struct Publish {
    topic: ShortString,
    payload: Bytes,
    properties: BasicProperties,
    done: oneshot::Sender<Result<()>>,
}

/// A connection to [`Amqp`].
pub struct AmqpSession {
    publisher: mpsc::Sender<Publish>,
    task: SessionTask,
}

impl Session for AmqpSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        let mut properties = BasicProperties::default()
            .with_correlation_id(message.id.as_str().into())
            .with_type(message.kind().into());
        if message.expects_reply {
            // Rounded up: RabbitMQ drops a message with an expiration of 0 unless a worker takes it at once.
            let millis = message.expires_in.as_millis() + 1;
            properties = properties
                .with_reply_to(REPLY_TO.into())
                .with_expiration(millis.to_string().into());
        }
        if !message.headers.is_empty() {
            let mut headers = FieldTable::default();
            for (name, value) in message.headers {
                headers.insert(
                    name.as_ref().into(),
                    AMQPValue::LongString(value.as_str().into()),
                );
            }
            properties = properties.with_headers(headers);
        }
        let (done, published) = oneshot::channel();
        let lost = || Error::UpstreamLost("the connection broke".into());
        let message = Publish {
            topic: message.topic.into(),
            payload: message.request.payload(),
            properties,
            done,
        };
        let handed = self.publisher.send(message).await;
        handed.map_err(|_| Error::UpstreamUnreachable("the connection broke".into()))?;
        published.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Amqp(..)")
    }
}

impl fmt::Debug for AmqpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AmqpSession(..)")
    }
}
