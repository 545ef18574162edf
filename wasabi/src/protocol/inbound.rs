//! From a message, and what a parser or a protocol found in it, to a request.

use super::Incoming;
use crate::{
    Close, Connection, Envelope, Error, Message, Parser, Request, Result,
    parser::Duplicate,
    request::{Cancelled, RequestParts},
};

/// What a client's message is, after reading.
#[derive(Debug)]
pub enum Inbound {
    /// A request.
    Request(Request),
    /// The same, but the connection ends if a request with its id is in flight.
    Unique(Request, Duplicate),
    /// A request that no target sees.
    Invalid(Request),
    /// Requests that take one slot, by a request that stands for them, and how many of them are invalid.
    Batch(Request, u32),
    /// The protocol's own answer.
    Answer(Box<Message>),
    /// The connection ends.
    Close(Box<Close>),
    /// Requests end.
    Cancel(Box<Cancel>),
    /// Intentionally.
    Dropped,
}

/// Requests that end, and what the message is besides.
#[derive(Debug)]
pub struct Cancel {
    pub(crate) requests: Vec<Cancelled>,
    /// What has its turn after them. It is no cancellation.
    pub(crate) then: Inbound,
}

impl Inbound {
    /// The request, if it is one.
    pub(crate) fn request(&self) -> Option<&Request> {
        match self {
            Self::Request(request)
            | Self::Unique(request, _)
            | Self::Invalid(request)
            | Self::Batch(request, _) => Some(request),
            Self::Answer(_) | Self::Close(_) | Self::Cancel(_) | Self::Dropped => None,
        }
    }

    /// The request, if it is one.
    pub(crate) fn into_request(self) -> Option<Request> {
        match self {
            Self::Request(request)
            | Self::Unique(request, _)
            | Self::Invalid(request)
            | Self::Batch(request, _) => Some(request),
            Self::Answer(_) | Self::Close(_) | Self::Cancel(_) | Self::Dropped => None,
        }
    }
}

/// What a request is made of, if the message is a [plain](Envelope::is_plain) one.
#[inline(always)]
pub(super) fn plain(
    incoming: &mut Result<Incoming<'_>>,
    message: &Message,
) -> Option<RequestParts> {
    match incoming {
        Ok(Incoming::Request(envelope)) if envelope.is_plain() => {
            Some(envelope.take_parts(message))
        }
        _ => None,
    }
}

/// What a message is that is not plain, and no batch.
#[inline(never)]
pub(super) fn other(
    incoming: Result<Incoming<'_>>,
    message: &Message,
    connection: &Connection,
) -> Inbound {
    let envelope = match incoming {
        Ok(Incoming::Request(envelope)) => envelope,
        Ok(Incoming::Answer(answer)) => return Inbound::Answer(Box::new(answer)),
        Ok(Incoming::Close(close)) => return Inbound::Close(Box::new(close)),
        Ok(Incoming::Cancel(id)) => Envelope::cancel(id),
        Ok(Incoming::Nothing | Incoming::Batch(_) | Incoming::Elements(_)) => {
            return Inbound::Dropped;
        }
        Err(error) => Envelope::invalid(error),
    };
    match envelope.cancels() {
        true => cancel(envelope, message, connection),
        false => special(envelope, message, connection),
    }
}

/// Makes a request that may be invalid, be of a part of a message, or have an id that must not be in flight.
#[inline(never)]
fn special(mut envelope: Envelope<'_>, message: &Message, connection: &Connection) -> Inbound {
    let (unique, invalid) = (envelope.is_unique(), envelope.take_invalid());
    let seen = envelope.part_of(message).unwrap_or_else(|| message.clone());
    let parts = envelope.into_parts(&seen);
    match (request(seen, parts, invalid, connection), unique) {
        (Inbound::Request(request), Some(otherwise)) => Inbound::Unique(request, otherwise),
        (inbound, _) => inbound,
    }
}

/// Cancels requests, and makes a request of the message if it is one too.
#[cold]
fn cancel(envelope: Envelope<'_>, message: &Message, connection: &Connection) -> Inbound {
    let (cancelled, rest) = envelope.take_cancelled();
    let then = rest.map(|envelope| special(envelope, message, connection));
    Inbound::Cancel(Box::new(Cancel {
        requests: cancelled.into_iter().collect(),
        then: then.unwrap_or(Inbound::Dropped),
    }))
}

/// Makes a request of a message by a parser.
#[inline(always)]
pub(crate) fn parse(
    parser: &impl Parser,
    mut message: Message,
    connection: &Connection,
) -> Inbound {
    if let Err(error) = parser.decode(&mut message, connection) {
        return undecoded(message, error, connection);
    }
    let mut envelope = match parser.parse(&message) {
        Ok(Some(envelope)) => envelope,
        Ok(None) => return Inbound::Dropped,
        Err(error) => Envelope::invalid(error),
    };
    if envelope.cancels() {
        return cancel(envelope, &message, connection);
    }
    let invalid = envelope.take_invalid();
    let parts = envelope.into_parts(&message);
    request(message, parts, invalid, connection)
}

/// A message that cannot be decoded.
#[cold]
pub(super) fn undecoded(message: Message, error: Error, connection: &Connection) -> Inbound {
    request(message, RequestParts::default(), Some(error), connection)
}

#[inline(always)]
fn request(
    message: Message,
    parts: RequestParts,
    invalid: Option<Error>,
    connection: &Connection,
) -> Inbound {
    let request = Request::new(message, parts, connection);
    match invalid {
        None => Inbound::Request(request),
        Some(error) => Inbound::Invalid(request.into_invalid(error)),
    }
}
