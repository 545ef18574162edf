//! Matches replies with the requests that wait for them.

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

use super::parts::Parts;
use crate::{
    ConnectionId, Error, Message, Result, Text,
    log::{limited, said},
    sharded::Sharded,
    turns::{self, Entered, Line, Place, Rule},
};

/// Ties a reply to its request: 48 hexadecimal digits.
///
/// The first 16 are random for each queue value; they distinguish replies to this gateway from those to another gateway
/// with the same reply address. The other 32 are 128 bits from the operating system's random source for each request:
/// they cannot be guessed, and do not repeat after a restart or in a replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId {
    instance: u64,
    request: u128,
    text: [u8; LENGTH],
}

const LENGTH: usize = 48;
const INSTANCE_DIGITS: usize = 16;

impl CorrelationId {
    fn new(instance: u64, request: u128) -> Self {
        let mut text = [b'0'; LENGTH];
        let (left, right) = text.split_at_mut(INSTANCE_DIGITS);
        write_hex(left, u128::from(instance));
        write_hex(right, request);
        Self {
            instance,
            request,
            text,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != LENGTH || !text.bytes().all(is_hex) {
            return None;
        }
        let (instance, request) = text.split_at(INSTANCE_DIGITS);
        let instance = u64::from_str_radix(instance, 16).ok()?;
        let request = u128::from_str_radix(request, 16).ok()?;
        Some(Self::new(instance, request))
    }

    /// The id as it is written on the wire.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

impl AsRef<str> for CorrelationId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
pub struct Inbox(Arc<Shared>);

struct Shared {
    instance: u64,
    waiting: Sharded<u128, Entry>,
    /// The places of the pending requests.
    places: Places,
    matched: AtomicU64,
    unmatched: AtomicU64,
    foreign: AtomicU64,
    too_large: AtomicU64,
    malformed: AtomicU64,
}

struct Entry {
    to: To,
    /// The number of the next part.
    next: u64,
    max_size: usize,
}

/// The state of a reply.
enum To {
    /// Nothing has arrived yet.
    Waiting(oneshot::Sender<Result<Answer>>),
    /// The first part has arrived.
    Parts(Arc<Parts>),
}

/// The first thing to arrive of a reply.
pub(super) enum Answer {
    Whole(Message),
    Parts(Arc<Parts>),
}

impl Entry {
    /// Returns `false` if the request no longer waits.
    fn end(self, last: Result<Message>) -> bool {
        match self.to {
            To::Waiting(to) => to.send(last.map(Answer::Whole)).is_ok(),
            To::Parts(parts) => {
                parts.end(last);
                true
            }
        }
    }

    /// Returns `false` if the request no longer waits, or the part does not fit.
    fn add(&mut self, message: Message) -> bool {
        self.next += 1;
        match &self.to {
            To::Parts(parts) => parts.add(message, self.max_size),
            To::Waiting(_) => {
                let parts = Arc::new(Parts::default());
                let fits = parts.add(message, self.max_size);
                let to = To::Parts(Arc::clone(&parts));
                match std::mem::replace(&mut self.to, to) {
                    To::Waiting(to) => fits && to.send(Ok(Answer::Parts(parts))).is_ok(),
                    To::Parts(_) => false,
                }
            }
        }
    }
}

/// The number of dropped replies of a queue, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DroppedReplies {
    /// Replies that no request waits for: the request has been answered already, has timed out, or its client has
    /// disconnected. Also parts that arrive twice.
    pub unmatched: u64,
    /// Replies that are not for this queue: the correlation id belongs to another gateway, or is missing or invalid.
    pub foreign: u64,
    /// Replies longer than the [`max_reply_size`](super::Queue::max_reply_size), and parts that do not fit while their
    /// client takes none. Their requests have failed.
    pub too_large: u64,
    /// Replies that cannot be read at all, so that their requests are unknown: the broker's data is not a reply, or
    /// something else is stored where the replies should be. Their requests time out.
    pub malformed: u64,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
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
            let error = format!("part {next} of the reply is missing: there is {number}");
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

    fn too_large(&self, id: CorrelationId, size: usize, entry: Entry) -> bool {
        self.0.too_large.fetch_add(1, Ordering::Relaxed);
        let max_size = entry.max_size;
        limited!(WARN, %id, size, max_size, "reply dropped, it is too large");
        let error = match size > max_size {
            true => format!("a reply of {size} bytes, of {max_size} at most"),
            false => "its parts came faster than the client takes them".to_owned(),
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
        let entry = Entry {
            to: To::Waiting(sender),
            next: 1,
            max_size,
        };
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
        self.0.waiting.shard(&request).insert(request, entry);
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

impl Place for Inbox {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.0.places.line(work)
    }
}

impl Waiting {
    /// Waits for the reply or its first part.
    pub(super) async fn reply(&mut self) -> Result<Answer> {
        match (&mut self.reply).await {
            Ok(reply) => reply,
            Err(_) => Err(Error::internal("a request was forgotten")),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let shared = &self.inbox.0;
        shared
            .waiting
            .shard(&self.id.request)
            .remove(&self.id.request);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn inbox() -> Inbox {
        Inbox::new()
    }

    fn register(inbox: &Inbox, limit: usize, max_size: usize) -> Result<Waiting> {
        match inbox.enter(ConnectionId(0), limit) {
            Entered::Place(place) => inbox.register(place, max_size),
            Entered::Turn(_) => panic!("it has everything"),
            Entered::Full => Err(Error::Overloaded),
        }
    }

    async fn whole(waiting: &mut Waiting) -> Result<Message> {
        match waiting.reply().await? {
            Answer::Whole(message) => Ok(message),
            Answer::Parts(_) => panic!("a part"),
        }
    }

    #[test]
    fn correlation_ids_differ_between_requests_and_between_queues() {
        let (one, other) = (inbox(), inbox());
        let ids: HashSet<_> = (0..500)
            .flat_map(|_| {
                [
                    register(&one, 9, 64).unwrap().id,
                    register(&other, 9, 64).unwrap().id,
                ]
            })
            .map(|id| id.to_string())
            .collect();
        assert_eq!(ids.len(), 1000);
        assert_ne!(one.instance(), other.instance());
        for half in [0..16, 16..48] {
            let halves: HashSet<_> = ids.iter().map(|id| id[half.clone()].to_owned()).collect();
            assert_eq!(halves.len(), if half.end == 16 { 2 } else { 1000 });
        }
    }

    /// An id could be guessed if only some digits changed from request to request.
    #[test]
    fn every_bit_of_a_requests_id_is_random() {
        let inbox = inbox();
        let ids = (0..100).map(|_| register(&inbox, 1, 64).unwrap().id.request);
        let (mut set, mut clear) = (0, 0);
        ids.for_each(|id| {
            set |= id;
            clear |= !id;
        });
        assert_eq!((set, clear), (u128::MAX, u128::MAX));
    }

    #[tokio::test]
    async fn the_first_reply_wins_and_the_others_are_counted() {
        let inbox = inbox();
        let mut waiting = register(&inbox, 1, 64).unwrap();
        assert!(inbox.reply(waiting.id, "first"));
        assert!(!inbox.reply(waiting.id, "second"));
        assert_eq!(whole(&mut waiting).await.unwrap(), Message::text("first"));
        let id = waiting.id;
        drop(waiting);
        assert!(!inbox.reply(id, "late"));
        let dropped = inbox.dropped();
        assert_eq!((dropped.unmatched, dropped.foreign), (2, 0));
        assert_eq!(inbox.waiting(), 0);
    }

    #[test]
    fn foreign_replies_are_counted() {
        let (one, other) = (inbox(), inbox());
        let waiting = register(&one, 1, 64).unwrap();
        assert!(!other.reply(waiting.id, "x"));
        assert!(!other.reply("", "x"));
        assert!(!other.reply("é".repeat(24), "x"));
        assert!(!one.reply(waiting.id.as_str().to_uppercase() + "0", "x"));
        assert_eq!(other.dropped().foreign, 3);
        assert_eq!(one.dropped().foreign, 1);
        assert_eq!(one.waiting(), 1);
    }

    #[test]
    fn the_number_of_requests_is_limited_and_places_come_back() {
        let inbox = inbox();
        let places: Vec<_> = (0..3).map(|_| register(&inbox, 3, 64).unwrap()).collect();
        assert!(matches!(register(&inbox, 3, 64), Err(Error::Overloaded)));
        drop(places);
        assert!(register(&inbox, 3, 64).is_ok());
        assert!(inbox.0.waiting.shards().all(|shard| shard.is_empty()));
    }

    #[tokio::test]
    async fn text_that_is_not_utf8_is_an_error_and_never_a_text() {
        let inbox = inbox();
        let mut waiting = register(&inbox, 1, 64).unwrap();
        inbox.reply_with(waiting.id, None, None, Bytes::from_static(b"\xff"));
        let reply = waiting.reply().await;
        assert!(matches!(reply, Err(Error::UpstreamUnfit(_))));
    }

    #[tokio::test]
    async fn a_reply_that_is_too_large_is_an_error_and_counted() {
        let inbox = inbox();
        for reply in ["x".repeat(64), "x".repeat(65)] {
            let (mut plain, mut wire) = (
                register(&inbox, 2, 64).unwrap(),
                register(&inbox, 2, 64).unwrap(),
            );
            let fits = reply.len() <= 64;
            assert_eq!(inbox.reply(plain.id, reply.clone()), fits);
            // The size is checked before anything reads the bytes.
            assert_eq!(inbox.reply_with(wire.id, None, None, reply.into()), fits);
            for reply in [whole(&mut plain).await, whole(&mut wire).await] {
                assert_eq!(matches!(reply, Err(Error::UpstreamUnfit(_))), !fits);
            }
            assert!(!inbox.reply(wire.id, "late"));
        }
        let dropped = inbox.dropped();
        assert_eq!((dropped.too_large, dropped.unmatched), (2, 2));
    }

    async fn parts(waiting: &mut Waiting) -> Arc<Parts> {
        match waiting.reply().await.unwrap() {
            Answer::Parts(parts) => parts,
            Answer::Whole(_) => panic!("all at once"),
        }
    }

    #[tokio::test]
    async fn parts_come_in_their_order_and_none_of_them_twice() {
        let inbox = inbox();
        let mut waiting = register(&inbox, 1, 64).unwrap();
        let id = waiting.id;
        assert!(inbox.part(id, 1, "one"));
        assert!(!inbox.part(id, 1, "again"));
        assert!(inbox.reply_with(id, Some(b"binary"), Some(b"2"), Bytes::from_static(b"two")));
        assert!(inbox.reply(id, "three"));
        assert!(!inbox.part(id, 4, "late"));
        let parts = parts(&mut waiting).await;
        for (message, is_last) in [
            (Message::text("one"), false),
            (Message::binary(&b"two"[..]), false),
            (Message::text("three"), true),
        ] {
            let next = parts.next().await;
            assert_eq!((next.message.unwrap(), next.is_last), (message, is_last));
        }
        assert_eq!(inbox.dropped().unmatched, 2);
    }

    #[tokio::test]
    async fn a_part_that_is_missing_or_has_no_number_ends_the_request() {
        let inbox = inbox();
        for more in [&b"2"[..], b"0", b"", b"yes", b"\xff", b"-1"] {
            let mut waiting = register(&inbox, 1, 64).unwrap();
            inbox.reply_with(waiting.id, None, Some(more), Bytes::new());
            let reply = waiting.reply().await;
            assert!(matches!(reply, Err(Error::UpstreamInvalid(_))));
        }
    }

    #[tokio::test]
    async fn an_error_ends_a_reply_in_parts() {
        let inbox = inbox();
        let mut waiting = register(&inbox, 1, 64).unwrap();
        inbox.part(waiting.id, 1, "one");
        let why = Bytes::from_static(b"no paper");
        assert!(inbox.reply_with(waiting.id, Some(b"error"), Some(b"2"), why));
        let parts = parts(&mut waiting).await;
        assert_eq!(parts.next().await.message.unwrap(), Message::text("one"));
        let end = parts.next().await;
        let error = end.message.unwrap_err();
        assert_eq!((error.code(), end.is_last), ("job_failed", true));
        assert_eq!(error.client_message(), "no paper");
    }

    /// Parts for a client that takes nothing use at most as much memory as one whole reply; then the request fails.
    #[tokio::test]
    async fn the_parts_that_wait_are_bounded() {
        for (size, most) in [(16, 4), (0, 256), (65, 0)] {
            let inbox = inbox();
            let mut waiting = register(&inbox, 1, 64).unwrap();
            let added = (1..1000).filter(|n| inbox.part(waiting.id, *n, "x".repeat(size)));
            assert_eq!(added.count(), most);
            let dropped = inbox.dropped();
            assert_eq!(
                (dropped.too_large, dropped.unmatched),
                (1, 998 - most as u64)
            );
            if most == 0 {
                assert!(matches!(
                    waiting.reply().await,
                    Err(Error::UpstreamUnfit(_))
                ));
                continue;
            }
            let parts = parts(&mut waiting).await;
            for _ in 0..most {
                assert!(parts.next().await.message.is_ok());
            }
            let end = parts.next().await;
            assert!(matches!(end.message, Err(Error::UpstreamUnfit(_))));
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_is_written(instance: u64, request: u128) {
            let id = CorrelationId::new(instance, request);
            prop_assert_eq!(CorrelationId::parse(id.as_str()), Some(id));
            prop_assert_eq!(id.to_string(), format!("{instance:016x}{request:032x}"));
        }

        #[test]
        fn no_id_from_outside_does_harm(text: String) {
            let _ = inbox().reply(text, "x");
        }
    }
}
