//! Replies, read from a topic.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use rdkafka::{
    Message as _,
    consumer::StreamConsumer,
    error::RDKafkaErrorCode,
    message::{BorrowedMessage, Header, Headers as HeaderList},
};

use super::{super::Inbox, Elsewhere};
use crate::{BoxError, panics::caught, sync::Unpoisoned};

/// The next offset to read, by partition.
pub(super) type Offsets = Arc<Mutex<HashMap<i32, i64>>>;

pub(super) fn lock(offsets: &Mutex<HashMap<i32, i64>>) -> MutexGuard<'_, HashMap<i32, i64>> {
    offsets.lock().unpoisoned()
}

/// Reads replies until no broker can be reached.
pub(super) async fn read(
    consumer: Elsewhere<StreamConsumer>,
    inbox: Inbox,
    offsets: Offsets,
) -> BoxError {
    let Some(consumer) = &consumer.0 else {
        return "the consumer has ended".into();
    };
    loop {
        let record = match consumer.recv().await {
            Ok(record) => record,
            Err(error) => match error.rdkafka_error_code() {
                // librdkafka continues by itself.
                Some(RDKafkaErrorCode::PartitionEOF) => continue,
                _ => return error.into(),
            },
        };
        lock(&offsets).insert(record.partition(), record.offset() + 1);
        let Some(Headers { id, kind, more }) = Headers::of(&record) else {
            inbox.malformed("no id, and a header name that is not UTF-8");
            continue;
        };
        let id = std::str::from_utf8(id.unwrap_or_default()).unwrap_or_default();
        let payload = Bytes::copy_from_slice(record.payload().unwrap_or_default());
        inbox.reply_with(id, kind, more, payload);
    }
}

/// The headers of a reply.
#[derive(Default)]
struct Headers<'a> {
    id: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    more: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// Reads the first header of each name and ignores all others. Returns `None` if an unreadable header may be the
    /// id.
    fn of(record: &'a BorrowedMessage<'_>) -> Option<Self> {
        let mut found = Self::default();
        let mut unreadable = false;
        let headers = record.headers();
        for nth in 0..headers.map_or(0, HeaderList::count) {
            // The client library panics on a name that is not valid UTF-8.
            match caught(|| headers?.try_get(nth)) {
                Ok(Some(Header { key: "id", value })) => found.id = found.id.or(value),
                Ok(Some(Header { key: "kind", value })) => found.kind = found.kind.or(value),
                Ok(Some(Header { key: "more", value })) => found.more = found.more.or(value),
                Ok(_) => {}
                Err(_) => unreadable = true,
            }
        }
        (found.id.is_some() || !unreadable).then_some(found)
    }
}
