//! What a queue needs from a broker.

use std::{borrow::Cow, time::Duration};

use super::{CorrelationId, Inbox};
use crate::{BoxError, Message, Request, Result};

/// A broker: opens sessions in which messages are published and replies received.
///
/// Implement it for a broker that this crate does not support. The [`Queue`](super::Queue) does the rest: correlation,
/// deadlines, limits, and a new session, after growing pauses, whenever one cannot be opened or has ended.
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

    /// Connects, and returns when it is ready to receive replies; each goes to [`Inbox::reply`]. An attempt that takes
    /// longer than 10 s is dropped and repeated.
    fn connect(&self, inbox: Inbox)
    -> impl Future<Output = Result<Self::Session, BoxError>> + Send;

    /// Whether the next session receives replies that arrive while no session is open. If not, which is the default,
    /// requests that wait for a reply fail at once when the session ends.
    fn keeps_replies(&self) -> bool {
        false
    }

    /// Checks the settings; a mistake prevents the gateway from being served.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A connection to a broker. Dropping it closes the connection and ends everything that belongs to it.
pub trait Session: Send + Sync + 'static {
    /// Publishes a message and returns when the broker has it. The request fails with the returned error:
    /// [`UpstreamUnreachable`](crate::Error::UpstreamUnreachable) if the message has certainly not been published,
    /// [`UpstreamLost`](crate::Error::UpstreamLost) if that is unknown.
    ///
    /// The future may be dropped at any time: the client has disconnected, it takes too long, or the reply has already
    /// arrived.
    fn publish(&self, message: Outgoing<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Waits for the end of the connection and returns the reason.
    fn closed(&self) -> impl Future<Output = BoxError> + Send;
}

/// A message on its way to a broker.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// The request that the message comes from.
    pub request: &'a Request,
    /// The destination: the name of a topic, queue, subject or stream. It is not empty, has at most 255 bytes, and
    /// contains no white space or control characters.
    pub topic: &'a str,
    /// The id that a reply must carry.
    pub id: CorrelationId,
    /// Whether the request expects a reply; if not, the message carries no reply address.
    pub expects_reply: bool,
    /// Names and values of the headers, without carriage return, line feed and NUL.
    pub headers: &'a [(Cow<'static, str>, String)],
    /// How long the gateway will wait for the reply, from now on. After that a broker or worker may discard the
    /// message.
    pub expires_in: Duration,
}

impl<'a> Outgoing<'a> {
    /// The client's message.
    pub fn message(&self) -> &'a Message {
        self.request.message()
    }

    /// The kind of the message on the wire: `text` or `binary`.
    pub fn kind(&self) -> &'static str {
        kind(self.message())
    }
}

pub(super) fn kind(message: &Message) -> &'static str {
    if message.is_text() { "text" } else { "binary" }
}

/// The time of expiry in milliseconds since 1970.
#[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
pub(super) fn expires_at(expires_in: Duration) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let at = now.unwrap_or_default().saturating_add(expires_in);
    at.as_millis().try_into().unwrap_or(u64::MAX)
}
