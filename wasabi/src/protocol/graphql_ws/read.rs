//! What a client's message is.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    GraphqlWs, OnInit,
    closes::{exists, invalid, unauthorized},
    init::Session,
    write,
};
use crate::{Close, Connection, Envelope, Message, RequestId, parser::string, protocol::Incoming};

/// A message as it is written.
#[derive(Deserialize)]
struct Written<'m> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'m, str>,
    #[serde(borrow, default)]
    id: Option<&'m RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'m RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'m> {
    #[serde(borrow)]
    query: &'m RawValue,
    #[serde(borrow, default)]
    operation_name: Option<&'m RawValue>,
    #[serde(borrow, default)]
    variables: Option<&'m RawValue>,
    #[serde(borrow, default)]
    extensions: Option<&'m RawValue>,
}

/// A message of the protocol.
enum Said<'m> {
    Init(Option<&'m RawValue>),
    Ping(Option<&'m RawValue>),
    Pong,
    Subscribe {
        id: RequestId,
        /// The operation's name, if the client gives one.
        name: Option<Cow<'m, str>>,
        payload: &'m str,
    },
    Complete(RequestId),
}

fn read(message: &Message) -> Result<Said<'_>, Close> {
    let Some(text) = message.as_text() else {
        return Err(invalid("messages are text"));
    };
    let written: Written<'_> =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let object = || match written.payload {
        Some(payload) if !payload.get().starts_with('{') => Err(invalid(format!(
            "the payload of `{}` is an object",
            written.kind
        ))),
        payload => Ok(payload),
    };
    let id = || match written.id.and_then(|id| string(id.get())) {
        Some(id) if !id.is_empty() => Ok(RequestId::new(id.into_owned())),
        _ => Err(invalid(format!("the id of `{}` is a string", written.kind))),
    };
    Ok(match &*written.kind {
        "connection_init" => Said::Init(object()?),
        "ping" => Said::Ping(object()?),
        "pong" => {
            object()?;
            Said::Pong
        }
        "complete" => Said::Complete(id()?),
        "subscribe" => {
            let (id, payload) = (id()?, object()?);
            let payload = payload
                .ok_or_else(|| invalid("`subscribe` has a payload"))?
                .get();
            Said::Subscribe {
                id,
                name: operation(payload)?,
                payload,
            }
        }
        other => {
            let known = ["connection_ack", "next", "error"].contains(&other);
            return Err(match known {
                true => invalid(format!("`{other}` is for clients")),
                false => invalid(format!("unknown type `{other}`")),
            });
        }
    })
}

/// The name of an operation, if it has one.
fn operation(payload: &str) -> Result<Option<Cow<'_, str>>, Close> {
    let operation: Operation<'_> =
        serde_json::from_str(payload).map_err(|error| invalid(error.to_string()))?;
    if string(operation.query.get()).is_none() {
        return Err(invalid("`query` is a string"));
    }
    for (name, value) in [
        ("variables", operation.variables),
        ("extensions", operation.extensions),
    ] {
        if value.is_some_and(|value| !value.get().starts_with('{')) {
            return Err(invalid(format!("`{name}` is an object")));
        }
    }
    match operation.operation_name {
        None => Ok(None),
        Some(name) => match string(name.get()) {
            Some(name) => Ok(Some(name).filter(|name| !name.is_empty())),
            None => Err(invalid("`operationName` is a string")),
        },
    }
}

fn subscribe<'m>(id: RequestId, name: Option<Cow<'m, str>>) -> Envelope<'m> {
    let envelope = match name {
        Some(name) => Envelope::new(name),
        None => Envelope::from_static("subscribe"),
    };
    envelope
        .id(id)
        .content_type("application/json")
        .unique(exists)
}

impl<H: OnInit> GraphqlWs<H> {
    /// Reads a message that the gateway or a target of it answers.
    pub(super) fn read_own<'m>(
        &self,
        message: &'m Message,
        connection: &Connection,
        session: &Arc<Session>,
    ) -> Result<Incoming<'m>, Close> {
        Ok(match read(message)? {
            Said::Init(payload) => {
                session.begin()?;
                if H::ACKNOWLEDGES_ALL {
                    session.ready();
                    return Ok(Incoming::Answer(Message::text(write::ack(None))));
                }
                self.decide(payload.map(RawValue::to_owned), connection, session);
                Incoming::Nothing
            }
            Said::Ping(payload) => {
                Incoming::Answer(Message::text(write::pong(payload.map(RawValue::get))))
            }
            Said::Pong => Incoming::Nothing,
            Said::Subscribe { .. } if !session.is_ready() => return Err(unauthorized()),
            Said::Subscribe { id, name, payload } => {
                Incoming::Request(subscribe(id, name).part(payload))
            }
            // The client does not listen any more.
            Said::Complete(id) => Incoming::Request(Envelope::cancel(id).without_reply()),
        })
    }
}

/// The keys of messages that are no operations. An operation with such a name must not take their route.
const CONTROL: [&str; 4] = ["connection_init", "ping", "pong", "complete"];

/// Reads a message that the upstream answers.
pub(super) fn relayed<'m>(message: &'m Message, session: &Session) -> Result<Incoming<'m>, Close> {
    let envelope = match read(message)? {
        Said::Init(_) => {
            session.begin()?;
            Envelope::from_static("connection_init")
        }
        Said::Ping(_) => Envelope::from_static("ping"),
        Said::Pong => Envelope::from_static("pong"),
        Said::Subscribe { .. } if !session.has_begun() => return Err(unauthorized()),
        Said::Subscribe { id, name, .. } => {
            let name = name.filter(|name| !CONTROL.contains(&&**name));
            return Ok(Incoming::Request(subscribe(id, name)));
        }
        // The gateway may answer the operation.
        Said::Complete(id) => Envelope::from_static("complete").cancelling(id),
    };
    Ok(Incoming::Request(
        envelope.content_type("application/json").without_reply(),
    ))
}
