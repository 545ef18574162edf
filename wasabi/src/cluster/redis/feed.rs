//! The feed of kept groups as a Redis stream.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use redis::{Cmd, RedisError, Value, aio::MultiplexedConnection, from_redis_value};

use crate::{
    BoxError, Position, Stored,
    cluster::feed::{Entry, Feed, KEYS, PAGE, Page, Record},
    sync::{Mutex, Unpoisoned},
};

/// Stores an entry once. Its id is a number and a tag; numbers have no holes.
///
/// Where the counter is not there, it begins with the time, above all numbers before. A number is left out where another
/// server has stored the last entry: it may have stored more. That is a gap for every reader.
///
/// `KEYS`: the stream, the counter, the server of the last entry, and the position under the record's key, if it has one.
/// `ARGV`: group, message, tag, about how many entries to keep, how long to know the key in milliseconds, and the server, or
/// nothing.
const STORE: &str = "\
if KEYS[4] then
  local before = redis.call('GET', KEYS[4])
  if before then return {before, 1} end
end
local now = redis.call('TIME')
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], now[1] .. string.format('%06d', now[2]))
end
if ARGV[6] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[6] then
  redis.call('SET', KEYS[3], ARGV[6])
  redis.call('INCR', KEYS[2])
end
redis.call('INCR', KEYS[2])
local id = redis.call('GET', KEYS[2]) .. '-' .. ARGV[3]
local at = now[1] .. string.format('%03d', math.floor(now[2] / 1000))
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], id, 't', at, 'g', ARGV[1], 'd', ARGV[2])
if KEYS[4] then redis.call('SET', KEYS[4], id, 'PX', ARGV[5]) end
return {id, 0}";

/// About how many entries the stream keeps.
const MAX_LEN: usize = 100_000;
/// How long a read waits.
const BLOCK: Duration = Duration::from_secs(1);

/// Where a session is in the feed: the last entry that it has read.
#[derive(Default)]
pub(super) struct Reading(Mutex<Option<Position>>);

/// An entry as it is in the stream: its id, and its fields one after another.
type Raw = (String, Vec<Value>);

/// A key of the feed with this name. All are in one slot of a Redis Cluster.
pub(super) fn key(name: &str, part: &str) -> String {
    match name.rsplit_once('.') {
        Some((before, last)) => format!("{before}.{{{last}}}.{part}"),
        None => format!("{{{name}}}.{part}"),
    }
}

/// The command that stores a record; its reply is an id, and whether it is a duplicate. With the server's name where
/// another may take its place.
pub(super) fn store(feed: &Feed, record: &Record, server: Option<&str>) -> Cmd {
    let key = |part: &str| key(&feed.name, part);
    let mut eval = redis::cmd("EVAL");
    eval.arg(STORE);
    eval.arg(if record.once.is_some() { 4 } else { 3 });
    eval.arg(key("feed")).arg(key("count")).arg(key("server"));
    if let Some(once) = &record.once {
        eval.arg(key(&format!("once.{}.{once}", record.group)));
    }
    // What takes the place of a lost entry has another tag.
    let tag = RandomState::new().build_hasher().finish();
    eval.arg(&*record.group)
        .arg(&*record.message)
        .arg(tag)
        .arg(MAX_LEN)
        .arg(KEYS.as_millis() as u64)
        .arg(server.unwrap_or_default());
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
    command.arg(key(&feed.name, "feed")).arg("+").arg("-");
    let entries: Vec<Raw> = command.arg("COUNT").arg(1).query_async(connection).await?;
    match entries.first() {
        Some((id, _)) => Ok(Some(id.parse()?)),
        None => Ok(None),
    }
}

/// Whether the last entry was stored by this server.
pub(super) async fn is_of(
    connection: &mut MultiplexedConnection,
    feed: &Feed,
    server: &str,
) -> Result<bool, RedisError> {
    let mut get = redis::cmd("GET");
    let of: Option<String> = get
        .arg(key(&feed.name, "server"))
        .query_async(connection)
        .await?;
    Ok(of.as_deref() == Some(server))
}

impl Reading {
    pub(super) async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        feed: &Feed,
        after: Option<Position>,
    ) -> Result<Page, BoxError> {
        let stream = key(&feed.name, "feed");
        let is_known = *self.0.lock().unpoisoned() == after;
        if let Some(after) = after.filter(|_| !is_known) {
            let mut command = redis::cmd("XRANGE");
            command.arg(&stream);
            command.arg(after.to_string()).arg(after.to_string());
            let found: Vec<Raw> = command.query_async(connection).await?;
            if found.is_empty() {
                return Ok(Page::Gap);
            }
        }
        let from = after.unwrap_or(Position::new(0, 0)).to_string();
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE);
        command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        command.arg("STREAMS").arg(stream).arg(from);
        // A list of streams, or a map of them by RESP3.
        let streams: Option<Vec<(Value, Vec<Raw>)>> = command.query_async(connection).await?;
        let entries = streams.into_iter().flatten();
        let entries = entries.flat_map(|(_, entries)| entries).collect();
        self.numbered(entries, after)
    }

    /// The entries, as far as their numbers go on from one to the next.
    fn numbered(&self, entries: Vec<Raw>, mut last: Option<Position>) -> Result<Page, BoxError> {
        let mut page = Vec::with_capacity(entries.len());
        let mut is_after_gap = false;
        for entry in entries {
            let entry = entry_of(entry)?;
            let (number, _) = entry.position.parts();
            let goes_on = last.is_none_or(|last| number.checked_sub(1) == Some(last.parts().0));
            if !goes_on && !page.is_empty() {
                // The next page begins with it.
                break;
            }
            is_after_gap |= !goes_on;
            last = Some(entry.position);
            page.push(entry);
        }
        *self.0.lock().unpoisoned() = last;
        Ok(match is_after_gap {
            true => Page::AfterGap(page),
            false => Page::Entries(page),
        })
    }
}

fn entry_of((id, fields): Raw) -> Result<Entry, BoxError> {
    let position: Position = id.parse()?;
    let mut fields = fields.into_iter();
    let (mut at, mut group, mut message) = (None, None, None);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &*from_redis_value::<Bytes>(name)? {
            b"t" => at = Some(from_redis_value(value)?),
            b"g" => group = Some(from_redis_value::<String>(value)?),
            b"d" => message = Some(from_redis_value(value)?),
            _ => {}
        }
    }
    let fields = at.zip(group).zip(message);
    let ((at, group), message) = fields.ok_or("an entry of the feed is not from a gateway")?;
    Ok(Entry {
        position,
        group: Arc::from(group),
        message,
        age: age(at),
    })
}

/// How long ago this was, in milliseconds since 1970.
fn age(at: u64) -> Duration {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at));
    at.and_then(|at| SystemTime::now().duration_since(at).ok())
        .unwrap_or_default()
}
