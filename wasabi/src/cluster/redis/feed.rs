//! The feed of kept groups as a Redis stream.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use redis::{Cmd, Value, aio::MultiplexedConnection, from_redis_value};

use crate::{
    BoxError, Position, Stored,
    cluster::feed::{Entry, Feed, KEYS, PAGE, Page, Record},
    sync::{Mutex, Unpoisoned},
};

/// Stores an entry once, and numbers it.
///
/// `KEYS`: the stream, the counter, and the position under the record's key, if it has one. `ARGV`: group, message, about
/// how many entries to keep, and how long to know the key in milliseconds.
const STORE: &str = "\
if KEYS[3] then
  local before = redis.call('GET', KEYS[3])
  if before then return {before, 1} end
end
local n = redis.call('INCR', KEYS[2])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'n', n, 'g', ARGV[1], 'd', ARGV[2])
if KEYS[3] then redis.call('SET', KEYS[3], id, 'PX', ARGV[4]) end
return {id, 0}";

/// About how many entries the stream keeps.
const MAX_LEN: usize = 100_000;
/// How long a read waits.
const BLOCK: Duration = Duration::from_secs(1);

/// Where a session is in the feed.
#[derive(Default)]
pub(super) struct Reading {
    /// The last entry that was read, and its number.
    last: Mutex<Option<(Position, u64)>>,
}

/// An entry as it is in the stream: its id, and its fields one after another.
type Raw = (String, Vec<Value>);

/// The command that stores a record; its reply is an id, and whether it is a duplicate.
pub(super) fn store(feed: &Feed, record: &Record) -> Cmd {
    let Feed { name, .. } = feed;
    let mut eval = redis::cmd("EVAL");
    eval.arg(STORE);
    match &record.once {
        None => eval.arg(2).arg(stream(feed)).arg(format!("{name}.count")),
        Some(once) => eval
            .arg(3)
            .arg(stream(feed))
            .arg(format!("{name}.count"))
            .arg(format!("{name}.once.{}.{once}", record.group)),
    };
    eval.arg(&*record.group)
        .arg(&*record.message)
        .arg(MAX_LEN)
        .arg(KEYS.as_millis() as u64);
    eval
}

/// What Redis answers to [`store`].
pub(super) fn stored((id, duplicate): (String, bool)) -> Result<Stored, BoxError> {
    Ok(Stored::new(id.parse()?, duplicate))
}

/// The position of the newest entry, unless there is none.
pub(super) async fn newest(
    connection: &mut MultiplexedConnection,
    feed: &Feed,
) -> Result<Option<Position>, BoxError> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(stream(feed)).arg("+").arg("-");
    let entries: Vec<Raw> = command.arg("COUNT").arg(1).query_async(connection).await?;
    match entries.first() {
        Some((id, _)) => Ok(Some(id.parse()?)),
        None => Ok(None),
    }
}

fn stream(feed: &Feed) -> String {
    format!("{}.feed", feed.name)
}

impl Reading {
    pub(super) async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        feed: &Feed,
        after: Option<Position>,
    ) -> Result<Page, BoxError> {
        let before = match after {
            None => None,
            Some(after) => match self.number_of(connection, feed, after).await? {
                Some(number) => Some(number),
                None => return Ok(Page::Gap),
            },
        };
        let from = after.unwrap_or(Position::new(0, 0)).to_string();
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE);
        command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        command.arg("STREAMS").arg(stream(feed)).arg(from);
        // A list of streams, or a map of them by RESP3.
        let streams: Option<Vec<(Value, Vec<Raw>)>> = command.query_async(connection).await?;
        let entries = streams.into_iter().flatten();
        let entries = entries.flat_map(|(_, entries)| entries).collect();
        self.numbered(entries, after.zip(before))
    }

    /// The number of the entry at this position, if that very entry is there.
    async fn number_of(
        &self,
        connection: &mut MultiplexedConnection,
        feed: &Feed,
        at: Position,
    ) -> Result<Option<u64>, BoxError> {
        match *self.last.lock().unpoisoned() {
            Some((last, number)) if last == at => return Ok(Some(number)),
            _ => {}
        }
        let mut command = redis::cmd("XRANGE");
        command.arg(stream(feed));
        command.arg(at.to_string()).arg(at.to_string());
        let found: Vec<Raw> = command.query_async(connection).await?;
        let found = found.into_iter().map(Numbered::try_from).next();
        Ok(found.transpose()?.map(|entry| entry.number))
    }

    /// The entries, if their numbers go on from the last one.
    fn numbered(&self, entries: Vec<Raw>, last: Option<(Position, u64)>) -> Result<Page, BoxError> {
        let mut last = last;
        let mut page = Vec::with_capacity(entries.len());
        for entry in entries {
            let Numbered { number, entry } = Numbered::try_from(entry)?;
            if last.is_some_and(|(_, last)| number != last + 1) {
                *self.last.lock().unpoisoned() = None;
                return Ok(Page::Gap);
            }
            last = Some((entry.position, number));
            page.push(entry);
        }
        *self.last.lock().unpoisoned() = last;
        Ok(Page::Entries(page))
    }
}

/// An entry with its number.
struct Numbered {
    number: u64,
    entry: Entry,
}

impl TryFrom<Raw> for Numbered {
    type Error = BoxError;

    fn try_from((id, fields): Raw) -> Result<Self, BoxError> {
        let position: Position = id.parse()?;
        let mut fields = fields.into_iter();
        let (mut number, mut group, mut message) = (None, None, None);
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            match &*from_redis_value::<Bytes>(name)? {
                b"n" => number = Some(from_redis_value(value)?),
                b"g" => group = Some(from_redis_value::<String>(value)?),
                b"d" => message = Some(from_redis_value(value)?),
                _ => {}
            }
        }
        let fields = number.zip(group).zip(message);
        let ((number, group), message) =
            fields.ok_or("an entry of the feed is not from a gateway")?;
        let entry = Entry {
            position,
            group: Arc::from(group),
            message,
            age: age(position),
        };
        Ok(Self { number, entry })
    }
}

/// Redis puts the time into the id.
fn age(position: Position) -> Duration {
    let (millis, _) = position.parts();
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    at.and_then(|at| SystemTime::now().duration_since(at).ok())
        .unwrap_or_default()
}
