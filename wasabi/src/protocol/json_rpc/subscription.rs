//! Streaming replies as subscriptions.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::write::{self, SUBSCRIPTION};
use crate::{
    Backend, Error, FromRequest, InFlight, Message, Params, Reply, Request, RequestId, Result,
    reply::ReplyStream,
};

/// A stream as the result of a request, an id, and notifications with that id.
pub(super) fn subscribed(
    request: &RequestId,
    method: &'static str,
    messages: ReplyStream,
) -> Reply {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("\"{:#x}\"", NEXT.fetch_add(1, Ordering::Relaxed));
    let first = write::result(request, &Message::text(id.clone()));
    let slot = slot(&id).into();
    let notifications = messages
        .map(move |message| message.and_then(|message| write::notification(method, &id, &message)));
    // From here on, the request is answered, and the slot is the subscription's.
    Reply::stream(stream::iter([first]).chain(notifications)).under(slot)
}

fn slot(id: &str) -> String {
    format!("{SUBSCRIPTION}{id}}}")
}

/// Ends a subscription of [`JsonRpc`](crate::JsonRpc): the target of the method that unsubscribes.
///
/// The parameter is the subscription's id: `["0x1a"]`, or an object whose only member has it as value. The result is
/// `true`, or `false` if this connection has no such subscription. The gateway drops the stream before it answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unsubscribe;

impl<S: Sync> Backend<S> for Unsubscribe {
    async fn call(&self, req: Request, state: &S) -> Result {
        let in_flight = InFlight::from_request(&req, state).await?;
        let Params(ids) = Params::<Ids>::from_request(&req, state).await?;
        let [id] = &ids.all()[..] else {
            return Err(Error::invalid_params("expected one id of a subscription"));
        };
        let id = Value::from(id.as_str()).to_string();
        let ended = in_flight.cancel(&RequestId::new(slot(&id))).await;
        Ok(Reply::message(match ended {
            0 => "false",
            _ => "true",
        }))
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        use crate::schema::{Answers, Codes, Form, Input, Output, Source};
        let (ids, ended) = (Ids::schema, <bool as schemars::JsonSchema>::json_schema);
        to.knowing(Box::new([Some(ids)]), Some(ended), "", None, &|to| {
            let ids = Input::read::<Ids>(Source::Params, &["invalid_params"]);
            let ended = Output::new::<bool>(Form::Json);
            to.answers(Answers::function::<Self>(
                vec![ids],
                ended,
                Codes::default(),
            ));
        });
    }
}

/// By position or by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    Listed(Vec<String>),
    Named(BTreeMap<String, String>),
}

impl Ids {
    /// One id.
    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 1 },
                {
                    "type": "object",
                    "additionalProperties": { "type": "string" },
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        })
    }

    fn all(self) -> Vec<String> {
        match self {
            Self::Listed(ids) => ids,
            Self::Named(ids) => ids.into_values().collect(),
        }
    }
}
