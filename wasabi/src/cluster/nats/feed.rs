//! The feed of kept groups as a stream of JetStream.

mod api;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::{sync::Mutex as AsyncMutex, task::unconstrained, time::timeout};

use self::api::{GROUP, Stream, TAG};
use crate::{
    BoxError, Position, Result, Stored,
    cluster::feed::{Entry, Feed, PAGE, Page, Record},
};

/// A consumer that is silent for so long, without a heartbeat, is replaced.
const SILENCE: Duration = Duration::from_millis(2500);

/// Where a session is in the feed.
#[derive(Default)]
pub(super) struct Reading(AsyncMutex<Option<Consumer>>);

/// What JetStream delivers to this session.
struct Consumer {
    messages: Subscriber,
    /// The number of deliveries.
    delivered: u64,
    /// The last entry that was read.
    last: Option<Position>,
}

/// What has come from a consumer.
enum Came {
    Entry(Entry),
    Nothing,
    /// Something is missing: another consumer must begin from the last entry.
    Break,
}

pub(super) async fn store(client: &Client, feed: &Feed, record: Record) -> Result<Stored> {
    let stream = Stream::of(client, feed);
    let mut headers = HeaderMap::new();
    let id = record.once.map(|once| format!("{}:{once}", record.group));
    let tag = match &id {
        // Whoever publishes it again knows the position as well.
        Some(id) => hash(id.as_bytes()),
        None => RandomState::new().build_hasher().finish(),
    };
    headers.insert(GROUP, &*record.group);
    headers.insert(TAG, tag.to_string());
    if let Some(id) = &id {
        // A key may have characters that a header may not have.
        headers.insert("Nats-Msg-Id", hex(id.as_bytes()));
    }
    let (sequence, duplicate) = stream.publish(headers, record.message).await?;
    Ok(Stored::new(Position::new(sequence, tag), duplicate))
}

/// The position of the newest entry. Makes the stream, and an entry, if there is none.
pub(super) async fn newest(client: &Client, feed: &Feed) -> Result<Position, BoxError> {
    let stream = Stream::of(client, feed);
    if let (last, true) = stream.last().await?
        && let Some(newest) = stream.position(last).await?
    {
        return Ok(newest);
    }
    Ok(store(client, feed, Record::first()).await?.position)
}

impl Reading {
    pub(super) async fn read(
        &self,
        client: &Client,
        feed: &Feed,
        after: Option<Position>,
    ) -> Result<Page, BoxError> {
        let mut reading = self.0.lock().await;
        let consumer = match reading.take() {
            Some(consumer) if consumer.last == after => consumer,
            _ => match Consumer::begin(client, feed, after).await? {
                Some(consumer) => consumer,
                None => return Ok(Page::Gap),
            },
        };
        let consumer = reading.insert(consumer);
        let mut entries = Vec::new();
        let first = match timeout(SILENCE, consumer.messages.next()).await {
            Ok(Some(first)) => first,
            // Neither an entry nor a heartbeat.
            Ok(None) | Err(_) => {
                *reading = None;
                return Ok(Page::Entries(entries));
            }
        };
        let mut next = Some(first);
        while let Some(message) = next {
            match consumer.take(client, message).await? {
                Came::Entry(entry) => entries.push(entry),
                Came::Nothing => {}
                Came::Break => {
                    *reading = None;
                    return Ok(Page::Entries(entries));
                }
            }
            next = match entries.len() < PAGE {
                // Unconstrained, because a task that has received much is told that there is nothing.
                true => unconstrained(consumer.messages.next())
                    .now_or_never()
                    .flatten(),
                false => None,
            };
        }
        if let Some(entry) = entries.last() {
            consumer.last = Some(entry.position);
        }
        Ok(Page::Entries(entries))
    }
}

impl Consumer {
    /// Begins after an entry, if that very entry is there.
    async fn begin(
        client: &Client,
        feed: &Feed,
        after: Option<Position>,
    ) -> Result<Option<Self>, BoxError> {
        let stream = Stream::of(client, feed);
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await?;
        let mut consumer = Self {
            messages,
            delivered: 0,
            last: after,
        };
        let Some(after) = after else {
            stream.deliver(&inbox, None).await?;
            return Ok(Some(consumer));
        };
        let (sequence, _) = after.parts();
        let (last, _) = stream.last().await?;
        if last < sequence {
            return Ok(None);
        }
        stream.deliver(&inbox, Some(sequence)).await?;
        // Inclusive: an older copy of the stream has another entry there, or a later one comes first.
        loop {
            let message = timeout(SILENCE, consumer.messages.next()).await?;
            let message = message.ok_or("the subscription has ended")?;
            match consumer.take(client, message).await? {
                Came::Entry(entry) if entry.position == after => return Ok(Some(consumer)),
                Came::Entry(_) => return Ok(None),
                Came::Nothing => {}
                Came::Break => return Err("JetStream has left out entries".into()),
            }
        }
    }

    async fn take(&mut self, client: &Client, message: Message) -> Result<Came, BoxError> {
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            return self.answer(client, message).await;
        }
        let Some(delivery) = message.reply.as_deref().and_then(Delivery::of) else {
            return Ok(Came::Nothing);
        };
        if delivery.number != self.delivered + 1 {
            return Ok(Came::Break);
        }
        self.delivered = delivery.number;
        let (Some(group), Some(Ok(tag))) = (
            header(&message, GROUP),
            header(&message, TAG).map(str::parse),
        ) else {
            return Err("an entry of the feed is not from a gateway".into());
        };
        Ok(Came::Entry(Entry {
            position: Position::new(delivery.sequence, tag),
            group: Arc::from(group),
            age: delivery.age(),
            message: message.payload,
        }))
    }

    /// Answers a request for flow control, and reads in a heartbeat how much should have come.
    async fn answer(&self, client: &Client, message: Message) -> Result<Came, BoxError> {
        let stalled = header(&message, "Nats-Consumer-Stalled").map(str::to_owned);
        if let Some(reply) = message.reply.as_deref().map(str::to_owned).or(stalled) {
            client.publish(reply, Bytes::new()).await?;
        }
        let delivered =
            header(&message, "Nats-Last-Consumer").and_then(|number| number.parse().ok());
        Ok(match delivered {
            Some(delivered) if self.delivered < delivered => Came::Break,
            _ => Came::Nothing,
        })
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

/// What the subject for an acknowledgement says of a delivery.
struct Delivery {
    sequence: u64,
    number: u64,
    /// In nanoseconds since 1970.
    at: u64,
}

impl Delivery {
    /// `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<number>.<time>.<pending>`, with a domain and an account after
    /// `ACK` where servers are newer or have them.
    fn of(subject: &str) -> Option<Self> {
        let tokens: Vec<_> = subject.strip_prefix("$JS.ACK.")?.split('.').collect();
        let from = match tokens.len() {
            7 => 3,
            9.. => 5,
            _ => return None,
        };
        let number = |at: usize| tokens.get(from + at)?.parse().ok();
        Some(Self {
            sequence: number(0)?,
            number: number(1)?,
            at: number(2)?,
        })
    }

    fn age(&self) -> Duration {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(self.at));
        at.and_then(|at| SystemTime::now().duration_since(at).ok())
            .unwrap_or_default()
    }
}

/// FNV-1a: the same in every process and version.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
