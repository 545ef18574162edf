//! A request to management, taken apart.

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Query, Request},
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{Management, answers::Refused};
use crate::{Close, CloseCode, ConnectionAddress, Message, Position, Registry, Text};

/// The longest name of a group or a user in bytes, as in a cluster.
const MAX_NAME: usize = 512;

/// The parameters of the query; those that a request does not use are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    registry: Option<String>,
    /// These replace the values in the path, which may not contain every name.
    group: Option<String>,
    user: Option<String>,
    prefix: Option<String>,
    after: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
    code: Option<u16>,
    reason: Option<String>,
}

/// A request.
pub(super) struct Asks {
    pub(super) registry: Registry,
    /// The values in the path, in order.
    path: Vec<String>,
    parameters: Parameters,
    is_binary: bool,
    key: Option<String>,
    body: Bytes,
}

impl Asks {
    pub(super) async fn of(management: &Management, req: Request) -> Result<Self, Refused> {
        let (mut head, body) = req.into_parts();
        let values = Path::<Vec<(String, String)>>::from_request_parts(&mut head, &()).await;
        let Path(values) = values.map_err(|error| Refused::bad_request(error.body_text()))?;
        let Query(mut parameters) = Query::<Parameters>::try_from_uri(&head.uri)
            .map_err(|error| Refused::bad_request(error.body_text()))?;
        let path = values.into_iter().map(|(name, value)| match &*name {
            "group" => parameters.group.take().unwrap_or(value),
            "user" => parameters.user.take().unwrap_or(value),
            _ => value,
        });
        let path: Vec<_> = path.collect();
        if path.iter().any(|name| name.len() > MAX_NAME) {
            return Err(Refused::bad_request("a name has at most 512 bytes"));
        }
        let registry = management
            .named(parameters.registry.as_deref())
            .ok_or_else(|| {
                Refused::new(
                    StatusCode::NOT_FOUND,
                    "no_registry",
                    "there is no registry of this name",
                )
            })?;
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let is_binary = content_type.is_some_and(|kind| kind == "application/octet-stream");
        let key = key(&head.headers)?;
        let body = read(body, management.max_body_size).await?;
        Ok(Self {
            registry: registry.clone(),
            path,
            parameters,
            is_binary,
            key,
            body,
        })
    }

    /// The value in the path at this position.
    pub(super) fn name(&self, at: usize) -> &str {
        self.path.get(at).map_or("", String::as_str)
    }

    /// The connection in the path.
    pub(super) fn address(&self) -> Result<ConnectionAddress, Refused> {
        let address = self.name(0).parse();
        address.map_err(|error: crate::InvalidAddress| Refused::bad_request(error.to_string()))
    }

    /// The body as a message, and the key that it has.
    pub(super) fn keyed_message(&self) -> Result<(Message, Option<&str>), Refused> {
        Ok((self.body()?, self.key.as_deref()))
    }

    /// The body as a message that may have no key.
    pub(super) fn message(&self) -> Result<Message, Refused> {
        match self.key {
            None => self.body(),
            Some(_) => Err(Refused::bad_request(
                "only messages to groups have an `Idempotency-Key`",
            )),
        }
    }

    /// The body as a message: text, unless its media type says that it is binary.
    fn body(&self) -> Result<Message, Refused> {
        let body = self.body.clone();
        match self.is_binary {
            true => Ok(Message::binary(body)),
            false => Text::try_from(body).map(Message::text).map_err(|_| {
                Refused::bad_request(
                    "the text is not UTF-8; a binary message has the type `application/octet-stream`",
                )
            }),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        self.parameters.prefix.as_deref().unwrap_or_default()
    }

    pub(super) fn after(&self) -> Option<&str> {
        self.parameters.after.as_deref()
    }

    /// The position that a history is read from.
    pub(super) fn since(&self) -> Result<Option<Position>, Refused> {
        let since = self.parameters.since.as_deref().map(str::parse);
        since
            .transpose()
            .map_err(|_| Refused::bad_request("`since` is a `position` or a `next` of an answer"))
    }

    pub(super) fn limit(&self) -> Result<usize, Refused> {
        match self.parameters.limit {
            None => Ok(100),
            Some(limit @ 1..=1000) => Ok(limit),
            Some(_) => Err(Refused::bad_request("`limit` is 1 to 1000")),
        }
    }

    /// How to close; 1000 without a reason by default.
    pub(super) fn close(&self) -> Result<Close, Refused> {
        let code = match self.parameters.code {
            None => CloseCode::NORMAL,
            Some(code) => CloseCode::try_from(code)
                .map_err(|error| Refused::bad_request(error.to_string()))?,
        };
        let reason = self.parameters.reason.clone().unwrap_or_default();
        Ok(Close::new(code, reason))
    }
}

/// The key of a message, as it is written.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if !key.is_empty() && keys.next().is_none() => Ok(Some(key.to_owned())),
        _ => Err(Refused::bad_request(
            "`Idempotency-Key` is there once, in printable characters of ASCII",
        )),
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refused> {
    let (mut chunks, mut read) = (body.into_data_stream(), BytesMut::new());
    let ended_early = |_| Refused::bad_request("the body ended early");
    while let Some(chunk) = chunks.try_next().await.map_err(ended_early)? {
        if chunk.len() > limit - read.len() {
            return Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("a message has at most {limit} bytes"),
            ));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}
