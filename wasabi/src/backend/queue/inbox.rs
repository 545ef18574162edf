//! Matches replies with the requests that wait for them.

mod correlation_id;
mod dropped;
mod pending;

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::oneshot;

pub(super) use self::pending::Answer;
use self::pending::Pending;
pub use self::{correlation_id::CorrelationId, dropped::DroppedReplies};
use crate::{
    ConnectionId, Error, Message, Result, Text,
    log::{limited, said},
    sharded::Sharded,
    turns::{self, Entered, Line, LineAccess, Rule},
};

/// Takes the replies of a queue. It is a handle and cheap to clone.
///
/// The first reply to a request wins. A reply that no request waits for is dropped and [counted](Self::dropped). A
/// reply may arrive in [parts](Self::part), which go on to the client one after the other.
///
/// ```
/// use wasabi::{Message, queue::Inbox};
///
/// /// Called by the client library of a broker, with what a worker has sent.
/// fn on_reply(inbox: &Inbox, correlation_id: &str, payload: String) {
///     inbox.reply(correlation_id, Message::text(payload));
/// }
/// ```
#[derive(Clone)]
pub struct Inbox(Arc<InboxState>);

/// The requests of a queue.
struct InboxState {
    instance: u64,
    waiting: Sharded<u128, Pending>,
    /// The places of the pending requests.
    places: Places,
    matched: AtomicU64,
    unmatched: AtomicU64,
    foreign: AtomicU64,
    too_large: AtomicU64,
    malformed: AtomicU64,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self(Arc::new(InboxState {
            // Must be unique, but need not be secret.
            instance: RandomState::new().build_hasher().finish(),
            waiting: Sharded::default(),
            places: Places::default(),
            matched: AtomicU64::new(0),
            unmatched: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            too_large: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }))
    }

    /// Delivers the reply to a request. Returns `false` if it was dropped.
    pub fn reply(&self, id: impl AsRef<str>, message: impl Into<Message>) -> bool {
        let message = message.into();
        self.finish(id.as_ref(), message.len(), || Ok(message))
    }

    /// Delivers a part of a reply. More parts follow until [`reply`](Self::reply) delivers the last one or
    /// [`fail`](Self::fail) ends the reply. Returns `false` if it was dropped.
    ///
    /// The first part has the number 1, each later one the next number. A part with a number that has arrived already
    /// is dropped, so a job that a broker delivers twice does not repeat its parts. A missing number fails the request
    /// with `upstream_invalid`.
    pub fn part(&self, id: impl AsRef<str>, number: u64, message: impl Into<Message>) -> bool {
        let message = message.into();
        self.go_on(id.as_ref(), number, message.len(), || Ok(message))
    }

    /// Delivers a reply as it arrived over the wire.
    ///
    /// `kind` is `text`, `binary` or `error`; any other value, or none, means text. Text that is not valid UTF-8 fails
    /// the request with `upstream_invalid`. An error fails it with the code `job_failed` and the payload as its
    /// message, which goes to the client. `more` is the number of a [part](Self::part); without it this is the whole
    /// reply, or its last part.
    pub fn reply_with(
        &self,
        id: impl AsRef<str>,
        kind: Option<&[u8]>,
        more: Option<&[u8]>,
        payload: Bytes,
    ) -> bool {
        let (id, size) = (id.as_ref(), payload.len());
        let text = |payload: Bytes| match Text::try_from(payload) {
            Ok(text) => Ok(text),
            Err(error) => Err(Error::UpstreamUnfit(error.into())),
        };
        let message = || match kind {
            Some(b"binary") => Ok(Message::Binary(payload)),
            Some(b"error") => Err(Error::new("job_failed", text(payload)?.as_str().to_owned())),
            _ => text(payload).map(Message::Text),
        };
        match more {
            Some(more) if kind != Some(b"error") => {
                let number = std::str::from_utf8(more)
                    .ok()
                    .and_then(|more| more.parse().ok());
                self.go_on(id, number.unwrap_or(0), size, message)
            }
            _ => self.finish(id, size, message),
        }
    }

    /// Fails a request with an error, even after parts of its reply. Returns `false` if the request no longer waits.
    pub fn fail(&self, id: impl AsRef<str>, error: Error) -> bool {
        self.finish(id.as_ref(), 0, || Err(error))
    }

    /// The number of dropped replies, by reason.
    pub fn dropped(&self) -> DroppedReplies {
        DroppedReplies {
            unmatched: self.0.unmatched.load(Ordering::Relaxed),
            foreign: self.0.foreign.load(Ordering::Relaxed),
            too_large: self.0.too_large.load(Ordering::Relaxed),
            malformed: self.0.malformed.load(Ordering::Relaxed),
        }
    }

    /// The number of replies that have found their requests.
    pub(super) fn matched(&self) -> u64 {
        self.0.matched.load(Ordering::Relaxed)
    }

    /// Counts an unreadable reply, and logs a warning with the reason: at most a few per second, with the number of
    /// suppressed ones. A transport skips such a reply and continues with the next one.
    pub fn malformed(&self, reason: impl fmt::Display) {
        self.0.malformed.fetch_add(1, Ordering::Relaxed);
        limited!(WARN, reason = %said(reason), "malformed reply skipped");
    }

    /// The number of pending requests: those that wait for the broker, and those that wait for their reply.
    pub fn waiting(&self) -> usize {
        self.0.places.line(|line| line.taken())
    }

    /// The part of the correlation ids that all requests of this queue share, and no other queue has. Suitable for the
    /// name of a reply address.
    pub fn instance(&self) -> String {
        format!("{:016x}", self.0.instance)
    }

    /// Distinguishes this inbox from others.
    #[cfg(feature = "metrics")]
    pub(super) fn number(&self) -> u64 {
        self.0.instance
    }

    /// Parses an id; `None` if it does not belong to this queue.
    fn own(&self, id: &str) -> Option<CorrelationId> {
        let id = CorrelationId::parse(id);
        if let Some(id) = id.filter(|id| id.instance == self.0.instance) {
            return Some(id);
        }
        self.0.foreign.fetch_add(1, Ordering::Relaxed);
        match id {
            Some(id) => tracing::debug!(instance = id.instance, "foreign reply dropped"),
            // No gateway has issued this id to a worker.
            None => limited!(WARN, "reply without a correlation id dropped"),
        }
        None
    }

    fn finish(&self, id: &str, size: usize, reply: impl FnOnce() -> Result<Message>) -> bool {
        let Some(id) = self.own(id) else {
            return false;
        };
        let entry = self.0.waiting.shard(&id.request).remove(&id.request);
        match entry {
            None => self.unmatched(id),
            Some(entry) if size > entry.max_size => self.too_large(id, size, entry),
            Some(entry) => match entry.end(reply()) {
                true => self.matches(),
                false => self.unmatched(id),
            },
        }
    }

    fn go_on(
        &self,
        id: &str,
        number: u64,
        size: usize,
        message: impl FnOnce() -> Result<Message>,
    ) -> bool {
        let Some(id) = self.own(id) else {
            return false;
        };
        let mut shard = self.0.waiting.shard(&id.request);
        let Some(entry) = shard.get_mut(&id.request) else {
            drop(shard);
            return self.unmatched(id);
        };
        if (1..entry.next).contains(&number) {
            drop(shard);
            return self.unmatched(id);
        }
        let next = entry.next;
        // `None` if the part is too large, by itself or together with the waiting ones.
        let added = if number != next {
            let error = format!("part {next} of the reply is missing: part {number} came instead");
            Some(Err(Error::UpstreamInvalid(error.into())))
        } else if size > entry.max_size {
            None
        } else {
            match message() {
                Ok(message) => entry.add(message).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            }
        };
        if let Some(Ok(())) = added {
            drop(shard);
            return self.matches();
        }
        let entry = shard.remove(&id.request);
        drop(shard);
        match (entry, added) {
            (Some(entry), Some(Err(error))) => entry.end(Err(error)),
            (Some(entry), _) => self.too_large(id, size, entry),
            (None, _) => self.unmatched(id),
        }
    }

    fn matches(&self) -> bool {
        self.0.matched.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn unmatched(&self, id: CorrelationId) -> bool {
        self.0.unmatched.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%id, "late or duplicate reply dropped");
        false
    }

    fn too_large(&self, id: CorrelationId, size: usize, entry: Pending) -> bool {
        self.0.too_large.fetch_add(1, Ordering::Relaxed);
        let max_size = entry.max_size;
        limited!(WARN, %id, size, max_size, "reply dropped: too large");
        let error = match size > max_size {
            true => format!("the reply has {size} bytes; the limit is {max_size}"),
            false => "the parts of the reply came faster than the client took them".to_owned(),
        };
        entry.end(Err(Error::UpstreamUnfit(error.into())));
        false
    }

    /// Takes a place among at most `limit` pending requests. If all are taken, a request of a connection with less than
    /// its share waits for one; others are refused.
    pub(super) fn enter(&self, connection: ConnectionId, limit: usize) -> Entered<Self> {
        turns::enter(self.clone(), connection, limit, Rule::BelowShare)
    }

    /// Starts to wait for a reply of at most `max_size` bytes.
    pub(super) fn register(&self, place: turns::Permit<Self>, max_size: usize) -> Result<Waiting> {
        let (sender, reply) = oneshot::channel();
        let mut waiting = Waiting {
            inbox: self.clone(),
            id: CorrelationId::new(self.0.instance, 0),
            reply,
            _place: place,
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        let request = u128::from_ne_bytes(random);
        waiting.id = CorrelationId::new(self.0.instance, request);
        self.0
            .waiting
            .shard(&request)
            .insert(request, Pending::new(sender, max_size));
        Ok(waiting)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.waiting())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// The place of one pending request. Dropping it frees the place.
pub(super) struct Waiting {
    inbox: Inbox,
    pub(super) id: CorrelationId,
    reply: oneshot::Receiver<Result<Answer>>,
    _place: turns::Permit<Inbox>,
}

type Places = crate::sync::Mutex<Line>;

impl LineAccess for Inbox {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.0.places.line(work)
    }
}

impl Waiting {
    /// Waits for the reply or its first part.
    pub(super) async fn reply(&mut self) -> Result<Answer> {
        match (&mut self.reply).await {
            Ok(reply) => reply,
            Err(_) => Err(Error::internal("the gateway lost track of a request")),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let requests = &self.inbox.0;
        requests
            .waiting
            .shard(&self.id.request)
            .remove(&self.id.request);
    }
}

#[cfg(test)]
mod tests;
