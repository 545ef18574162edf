//! Requests of the elements of a batch.

use super::{
    Incoming,
    batch::{self, Part},
    inbound::{Cancel, Inbound, other, plain},
};
use crate::{
    Connection, Error, Message, Request, Result,
    request::{Cancelled, RequestParts},
};

/// Makes requests of the elements of a batch.
#[inline(never)]
pub(super) fn joined(
    elements: Vec<(Message, Result<Incoming<'_>>)>,
    connection: &Connection,
) -> Inbound {
    let mut joined = Elements::with_capacity(elements.len());
    for (message, mut incoming) in elements {
        if let Some(parts) = plain(&mut incoming, &message) {
            joined.push(message, parts, connection);
        } else if let Err(close) = joined.add(incoming, &message, connection) {
            return close;
        }
    }
    joined.join(connection)
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

    /// Adds a plain request.
    #[inline(always)]
    pub(super) fn push(&mut self, message: Message, parts: RequestParts, connection: &Connection) {
        let request = Request::new(message, parts, connection);
        self.parts.push(Part::Request(request));
    }

    /// Adds an element that is not plain. Fails if it ends the connection.
    #[inline(never)]
    pub(super) fn add(
        &mut self,
        incoming: Result<Incoming<'_>>,
        message: &Message,
        connection: &Connection,
    ) -> Result<(), Inbound> {
        let incoming = match incoming {
            Ok(Incoming::Batch(_) | Incoming::Elements(_)) => {
                Err(Error::bad_request("a batch inside a batch"))
            }
            incoming => incoming,
        };
        let inbound = match other(incoming, message, connection) {
            Inbound::Cancel(cancel) => {
                self.cancelled.extend(cancel.requests);
                cancel.then
            }
            inbound => inbound,
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
