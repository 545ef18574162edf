//! What a cluster needs of a server that passes messages on.

use std::{future::ready, sync::Arc};

use bytes::Bytes;

use super::{
    feed::{Feed, Page, Record, cannot_store, keeps_nothing},
    inlet::Inlet,
};
use crate::{BoxError, Position, Result, Stored};

/// A server that passes messages on between the gateways of a [`Cluster`](super::Cluster): NATS, Redis, [`Memory`](super::Memory).
///
/// Implement it for a server that this crate does not support. The cluster does the rest: names, what is subscribed to
/// and when, delivery, and a new session, after growing pauses, whenever one cannot be opened or has ended.
///
/// ```
/// use std::{future::pending, sync::Arc};
/// use wasabi::{BoxError, Bytes, Cluster, Result, cluster::{Engine, EngineSession, Inlet}};
///
/// /// A server that loses everything.
/// struct Hole;
///
/// impl Engine for Hole {
///     type Session = Hole;
///
///     async fn connect(&self, _inlet: Inlet) -> Result<Hole, BoxError> {
///         Ok(Hole)
///     }
/// }
///
/// impl EngineSession for Hole {
///     async fn tell(&self, _subject: &str, _message: Bytes) -> Result<()> {
///         Ok(())
///     }
///
///     async fn subscribe(&self, _subjects: &[Arc<str>]) -> Result<(), BoxError> {
///         Ok(())
///     }
///
///     async fn unsubscribe(&self, _subjects: &[Arc<str>]) -> Result<(), BoxError> {
///         Ok(())
///     }
///
///     async fn answers(&self) -> Result<(), BoxError> {
///         Ok(())
///     }
///
///     async fn closed(&self) -> BoxError {
///         pending().await
///     }
/// }
///
/// let cluster = Cluster::new(Hole);
/// # drop(cluster);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the engine of a cluster",
    label = "messages cannot be passed on with this"
)]
pub trait Engine: Send + Sync + 'static {
    /// A gateway's connection to the server.
    type Session: EngineSession;

    /// Connects. What the session receives goes to [`Inlet::receive`]. An attempt that takes longer than 10 s is dropped
    /// and repeated.
    fn connect(&self, inlet: Inlet)
    -> impl Future<Output = Result<Self::Session, BoxError>> + Send;

    /// Whether sessions keep messages for [kept groups](crate::Kept); by default they do not. Those of an engine that does
    /// have [`store`](EngineSession::store), [`newest`](EngineSession::newest) and [`read`](EngineSession::read).
    fn keeps(&self) -> bool {
        false
    }

    /// Checks the settings; a mistake prevents the gateway from being served.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A gateway's connection to the server. It begins without subscriptions. Dropping it closes the connection and ends
/// everything that belongs to it.
///
/// Subjects consist of ASCII letters, digits, `-`, `_`, `%` and dots.
pub trait EngineSession: Send + Sync + 'static {
    /// Passes a message to all sessions that have subscribed to a subject; this one may be among them. Returns when the
    /// message is on its way. Messages of calls that do not overlap keep their order.
    ///
    /// The publisher gets the returned error: [`UpstreamUnreachable`](crate::Error::UpstreamUnreachable) if nobody has
    /// received the message, [`UpstreamLost`](crate::Error::UpstreamLost) if that is unknown. A server that refuses
    /// messages without telling the publisher, as NATS does, refuses them silently here as well. The future may be
    /// dropped at any time.
    fn tell(&self, subject: &str, message: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Subscribes to subjects, each of them once. Returns when the server has confirmed all of them: what is published
    /// from then on is received. A session that takes longer than 5 s is replaced. After an error the cluster asks for
    /// each of them alone, so that a refused subject holds up no other, and then every second for one that was refused
    /// alone. Several calls may be under way, for different subjects.
    fn subscribe(&self, subjects: &[Arc<str>])
    -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Ends subscriptions, also of subjects that [`subscribe`](Self::subscribe) has failed for. A session that takes
    /// longer than 5 s is replaced.
    fn unsubscribe(
        &self,
        subjects: &[Arc<str>],
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Appends a record to a feed, unless a record with its group and key is there: then returns the position of that
    /// one, as a duplicate. Returns when the server has stored it. The errors are those of [`tell`](Self::tell). The
    /// future may be dropped at any time.
    fn store(&self, _feed: &Feed, _record: Record) -> impl Future<Output = Result<Stored>> + Send {
        ready(Err(cannot_store()))
    }

    /// The position of the newest entry of a feed, even if the entry itself has expired. A feed without one gets an
    /// entry that is for nobody.
    fn newest(&self, _feed: &Feed) -> impl Future<Output = Result<Position, BoxError>> + Send {
        ready(Err(keeps_nothing()))
    }

    /// Reads the entries of a feed after a position, or from its oldest entry. Waits until there are some, or for a few
    /// seconds.
    ///
    /// The server must still have the very entry at that position, or know that it was the newest one: only then is it
    /// certain that none is missing. One that was restored from an older copy has other entries at the same places. The
    /// future may be dropped at any time.
    fn read(
        &self,
        _feed: &Feed,
        _after: Option<Position>,
    ) -> impl Future<Output = Result<Page, BoxError>> + Send {
        ready(Err(keeps_nothing()))
    }

    /// Asks the server whether it is there. The cluster asks every 2 s, and replaces a session that fails or takes
    /// longer than 5 s.
    fn answers(&self) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Waits for the end of the connection and returns the reason.
    fn closed(&self) -> impl Future<Output = BoxError> + Send;
}
