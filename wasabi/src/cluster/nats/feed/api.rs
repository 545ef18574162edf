//! What the feed needs of JetStream, by its JSON API: the client library's own brings more than twice as much code.

use async_nats::{Client, HeaderMap, RequestError, client::RequestErrorKind};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    BoxError, Error, Position, Result,
    cluster::feed::{Feed, KEYS},
};

/// The group of an entry.
pub(super) const GROUP: &str = "Wasabi-Group";
/// Distinguishes entries that have the same number, one of which was lost.
pub(super) const TAG: &str = "Wasabi-Tag";

/// How many entries a stream keeps.
const MAX_MESSAGES: u64 = 100_000;
/// The stream does not exist.
const NO_STREAM: u64 = 10_059;
/// The message does not exist.
const NO_MESSAGE: u64 = 10_037;

#[derive(Deserialize)]
struct Answer<T> {
    error: Option<Refusal>,
    #[serde(flatten)]
    answer: Option<T>,
}

#[derive(Debug, Deserialize, thiserror::Error)]
#[error("JetStream: {description}")]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Info {
    state: State,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Gotten {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    hdrs: Option<String>,
}

#[derive(Deserialize)]
struct Acknowledged {
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

/// The stream of a feed.
pub(super) struct Stream<'a> {
    client: &'a Client,
    /// In names of streams dots have no place.
    name: String,
    subject: String,
}

impl<'a> Stream<'a> {
    pub(super) fn of(client: &'a Client, feed: &Feed) -> Self {
        Self {
            client,
            name: feed.name.replace('.', "-"),
            subject: format!("{}.kept", feed.name),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        question: &Value,
    ) -> Result<Result<T, Refusal>, BoxError> {
        let subject = format!("$JS.API.{what}.{}", self.name);
        let question = Bytes::from(serde_json::to_vec(question)?);
        let answer = self.client.request(subject, question).await?;
        let answer: Answer<T> = serde_json::from_slice(&answer.payload)?;
        match (answer.error, answer.answer) {
            (Some(refusal), _) => Ok(Err(refusal)),
            (None, Some(answer)) => Ok(Ok(answer)),
            (None, None) => Err("JetStream gives another answer than expected".into()),
        }
    }

    /// The number of the last entry, and whether there is any. Makes the stream if there is none.
    pub(super) async fn last(&self) -> Result<(u64, bool), BoxError> {
        let state = match self.ask::<Info>("STREAM.INFO", &json!({})).await? {
            Ok(info) => info.state,
            Err(refusal) if refusal.err_code == NO_STREAM => {
                let config = json!({
                    "name": self.name,
                    "subjects": [self.subject],
                    "retention": "limits",
                    "discard": "old",
                    "storage": "file",
                    "num_replicas": 1,
                    "max_consumers": -1,
                    "max_msgs": MAX_MESSAGES,
                    "max_bytes": -1,
                    "max_age": 0,
                    "duplicate_window": u64::try_from(KEYS.as_nanos())?,
                });
                self.ask::<Info>("STREAM.CREATE", &config).await??.state
            }
            Err(refusal) => return Err(refusal.into()),
        };
        Ok((state.last_seq, state.messages > 0))
    }

    /// The position of the entry with this number, if it is there.
    pub(super) async fn position(&self, sequence: u64) -> Result<Option<Position>, BoxError> {
        let question = json!({ "seq": sequence });
        let kept = match self.ask::<Gotten>("STREAM.MSG.GET", &question).await? {
            Ok(gotten) => gotten.message,
            Err(refusal) if refusal.err_code == NO_MESSAGE => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let headers = STANDARD.decode(kept.hdrs.unwrap_or_default())?;
        let headers = String::from_utf8(headers)?;
        let tag = headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(TAG).then(|| value.trim())
        });
        let tag = tag.ok_or("an entry of the feed is not from a gateway")?;
        Ok(Some(Position::new(sequence, tag.parse()?)))
    }

    /// Stores a message. Returns its number, and whether it is the one of an earlier message with the same id.
    pub(super) async fn publish(&self, headers: HeaderMap, message: Bytes) -> Result<(u64, bool)> {
        let ask = || {
            let (subject, headers) = (self.subject.clone(), headers.clone());
            self.client
                .request_with_headers(subject, headers, message.clone())
        };
        let mut asked = ask().await;
        if asked
            .as_ref()
            .is_err_and(|error| error.kind() == RequestErrorKind::NoResponders)
        {
            // Nobody has made the stream yet.
            self.last().await.map_err(Error::UpstreamUnreachable)?;
            asked = ask().await;
        }
        let answer = asked.map_err(not_published)?;
        let answer: Answer<Acknowledged> =
            serde_json::from_slice(&answer.payload).map_err(|error| unknown(error.into()))?;
        match (answer.error, answer.answer) {
            (Some(refusal), _) => Err(Error::UpstreamUnreachable(refusal.into())),
            (None, Some(acknowledged)) => Ok((acknowledged.seq, acknowledged.duplicate)),
            (None, None) => Err(unknown(
                "JetStream gives another answer than expected".into(),
            )),
        }
    }

    /// Has entries delivered to an inbox, from this number on or from the first.
    pub(super) async fn deliver(&self, inbox: &str, from: Option<u64>) -> Result<(), BoxError> {
        let mut config = json!({
            "deliver_subject": inbox,
            "deliver_policy": "all",
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": 1_000_000_000,
            "inactive_threshold": 30_000_000_000_u64,
            "mem_storage": true,
            "num_replicas": 1,
        });
        if let Some(from) = from {
            config["deliver_policy"] = "by_start_sequence".into();
            config["opt_start_seq"] = from.into();
        }
        let question = json!({ "stream_name": self.name, "config": config });
        self.ask::<Value>("CONSUMER.CREATE", &question).await??;
        Ok(())
    }
}

fn unknown(error: BoxError) -> Error {
    Error::UpstreamLost(error)
}

fn not_published(error: RequestError) -> Error {
    match error.kind() {
        RequestErrorKind::MaxPayloadExceeded => Error::bad_request("the message is too large"),
        RequestErrorKind::NoResponders => Error::UpstreamUnreachable(error.into()),
        _ => Error::UpstreamLost(error.into()),
    }
}
