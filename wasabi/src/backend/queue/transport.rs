//! What a queue needs of a broker.

use std::{borrow::Cow, time::Duration};

use super::{CorrelationId, Inbox};
use crate::{BoxError, Message, Request, Result};

/// A broker: opens sessions in which messages are published and replies received.
///
/// Implement it for a broker that this crate does not know. The [`Queue`](super::Queue) does the rest: correlation,
/// deadlines, limits, and a new session, with growing pauses, whenever one cannot be opened or has ended.
///
/// ```
/// use std::future::pending;
/// use wasabi::{BoxError, Queue, Result, queue::{Inbox, Outgoing, Session, Transport}};
///
/// /// Answers everything itself.
/// struct Mirror;
///
/// struct MirrorSession(Inbox);
///
/// impl Transport for Mirror {
///     type Session = MirrorSession;
///
///     async fn connect(&self, inbox: Inbox) -> Result<MirrorSession, BoxError> {
///         Ok(MirrorSession(inbox))
///     }
/// }
///
/// impl Session for MirrorSession {
///     async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
///         self.0.reply(message.id, message.message().clone());
///         Ok(())
///     }
///
///     async fn closed(&self) -> BoxError {
///         pending().await
///     }
/// }
///
/// let queue = Queue::new(Mirror, "anything");
/// # drop(queue);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the transport of a queue",
    label = "messages cannot be published with this"
)]
pub trait Transport: Send + Sync + 'static {
    /// One connection to the broker.
    type Session: Session;

    /// Connects, and is ready to receive replies when it returns: each goes to [`Inbox::reply`]. One that takes longer
    /// than 10 s is dropped and tried again.
    fn connect(&self, inbox: Inbox)
    -> impl Future<Output = Result<Self::Session, BoxError>> + Send;

    /// Whether replies that come in while there is no session are received in the next one. If not, which is the
    /// default, the requests that wait for a reply fail at once when the session ends.
    fn keeps_replies(&self) -> bool {
        false
    }

    /// What is wrong with the settings; a mistake keeps the gateway from being served.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A connection to a broker. Dropping it closes the connection and ends everything that belongs to it.
pub trait Session: Send + Sync + 'static {
    /// Publishes a message and returns when the broker has it. The error is what the request fails with:
    /// [`UpstreamUnreachable`](crate::Error::UpstreamUnreachable) when the message has certainly not been published,
    /// [`UpstreamLost`](crate::Error::UpstreamLost) when that is not known.
    ///
    /// The future may be dropped at any time: the client has gone, it takes too long, or the reply is there already.
    fn publish(&self, message: Outgoing<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Waits for the end of the connection and tells why it ended.
    fn closed(&self) -> impl Future<Output = BoxError> + Send;
}

/// A message on its way to a broker.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// The request that it is made of.
    pub request: &'a Request,
    /// Where it goes: the name of a topic, queue, subject or stream. Not empty, at most 255 bytes, without white space
    /// and control characters.
    pub topic: &'a str,
    /// What a reply to it has to carry.
    pub id: CorrelationId,
    /// Whether somebody waits for a reply; if not, the message carries no reply address.
    pub expects_reply: bool,
    /// Names and values of the headers; without carriage return, line feed and NUL.
    pub headers: &'a [(Cow<'static, str>, String)],
    /// When nobody will wait for the reply any more, from now. A broker or worker may throw the message away then.
    pub expires_in: Duration,
}

impl<'a> Outgoing<'a> {
    /// The message of the client.
    pub fn message(&self) -> &'a Message {
        self.request.message()
    }

    /// The kind of the message as it is written on the wire: `text` or `binary`.
    pub fn kind(&self) -> &'static str {
        kind(self.message())
    }
}

pub(super) fn kind(message: &Message) -> &'static str {
    if message.is_text() { "text" } else { "binary" }
}

/// When something expires, in milliseconds since 1970.
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
pub(super) fn expires_at(expires_in: Duration) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let at = now.unwrap_or_default().saturating_add(expires_in);
    at.as_millis().try_into().unwrap_or(u64::MAX)
}
