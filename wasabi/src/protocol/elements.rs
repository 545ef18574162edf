//! Requests of the elements of a batch.

use super::{
    Incoming,
    batch::{self, Part},
    inbound::{Cancel, Inbound, parts, request},
};
use crate::{
    Connection, Error, Message, Result,
    request::{Cancelled, RequestParts},
};

/// Makes requests of the elements of a batch.
#[inline(never)]
pub(super) fn joined(
    elements: Vec<(Message, Result<Incoming<'_>>)>,
    connection: &Connection,
) -> Inbound {
    let mut joined = Elements::with_capacity(elements.len());
    for (message, incoming) in elements {
        let parts = element(incoming, &message, connection);
        if let Err(close) = joined.add(parts, message, connection) {
            return close;
        }
    }
    joined.join(connection)
}

/// What an element of a batch is made of.
#[inline(always)]
pub(super) fn element(
    incoming: Result<Incoming<'_>>,
    message: &Message,
    connection: &Connection,
) -> Result<(RequestParts, Option<Error>), Inbound> {
    let incoming = match incoming {
        Ok(Incoming::Batch(_) | Incoming::Elements(_)) => {
            Err(Error::bad_request("a batch inside a batch"))
        }
        incoming => incoming,
    };
    parts(incoming, message, connection)
}

/// The elements of a batch so far.
pub(super) struct Elements {
    parts: Vec<Part>,
    /// How many of them are invalid.
    invalid: u32,
    cancelled: Vec<Cancelled>,
}

impl Elements {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            parts: Vec::with_capacity(count),
            invalid: 0,
            cancelled: Vec::new(),
        }
    }

    /// Adds an element. Fails if it ends the connection.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        parts: Result<(RequestParts, Option<Error>), Inbound>,
        message: Message,
        connection: &Connection,
    ) -> Result<(), Inbound> {
        let inbound = match parts {
            Ok((parts, invalid)) => request(message, parts, invalid, connection),
            Err(Inbound::Cancel(cancel)) => {
                self.cancelled.extend(cancel.requests);
                cancel.then
            }
            Err(inbound) => inbound,
        };
        match inbound {
            Inbound::Request(request) | Inbound::Unique(request, _) => {
                self.parts.push(Part::Request(request));
            }
            Inbound::Invalid(request) => {
                self.invalid += 1;
                self.parts.push(Part::Request(request));
            }
            Inbound::Answer(answer) => self.parts.push(Part::Answer(*answer)),
            Inbound::Close(_) => return Err(inbound),
            Inbound::Batch(..) | Inbound::Cancel(_) | Inbound::Dropped => {}
        }
        Ok(())
    }

    pub(super) fn join(self, connection: &Connection) -> Inbound {
        let batch = match self.parts.is_empty() {
            true => Inbound::Dropped,
            false => Inbound::Batch(batch::request(self.parts, connection), self.invalid),
        };
        match self.cancelled.is_empty() {
            true => batch,
            false => Inbound::Cancel(Box::new(Cancel {
                requests: self.cancelled,
                then: batch,
            })),
        }
    }
}
