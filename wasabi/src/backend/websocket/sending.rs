//! A request's side of the relay: its message goes to the upstream, and the answer comes back if one is expected.

use std::{future::poll_fn, sync::Arc};

use super::{
    correlate::{Id, id_of},
    relay::{Offered, Relay},
    unreachable::Unreachable,
    upstream,
};
use crate::{Connection, Error, Message, Reply, Result};

/// Connects, unless the upstream is connected, connecting, or was unreachable a moment ago.
pub(super) fn start(relay: &Arc<Relay>, connection: &Connection) -> Result<(), Unreachable> {
    if relay.begin(connection)? {
        let serving = upstream::run(Arc::clone(relay), connection.clone());
        if !connection.accompany(Box::pin(serving)) {
            relay.end(Unreachable::Ended);
        }
    }
    Ok(())
}

/// Forwards a message, and waits for the answer if one is expected. The first poll decides the position of the message
/// in the order.
pub(super) async fn forward(
    relay: &Arc<Relay>,
    message: Message,
    connection: &Connection,
) -> Result<Reply> {
    let exchange = match &relay.config.correlate {
        Some(at) => OpenExchange::of(relay, id_of(&message, at))?,
        None => None,
    };
    let id = exchange.as_ref().map(|exchange| &exchange.id);
    let offered = offer(relay, message, id, connection);
    if let Some(ticket) = offered.map_err(Unreachable::verdict)? {
        let _place = LeaveOnDrop { relay, ticket };
        let placed = poll_fn(|cx| relay.poll_place(ticket, cx)).await;
        placed.map_err(Unreachable::verdict)?;
    }
    let Some(id) = id else {
        return Ok(Reply::none());
    };
    let answer = poll_fn(|cx| relay.poll_answer(id, cx)).await;
    answer.map(Reply::message).map_err(Unreachable::verdict)
}

/// Writes a message, or queues it and returns its ticket.
fn offer(
    relay: &Arc<Relay>,
    message: Message,
    id: Option<&Id>,
    connection: &Connection,
) -> Result<Option<u64>, Unreachable> {
    match relay.offer(message, id)? {
        Offered::Written => Ok(None),
        Offered::Queued(ticket) => Ok(Some(ticket)),
        Offered::First(ticket) => match start(relay, connection) {
            Ok(()) => Ok(Some(ticket)),
            Err(why) => {
                relay.forget(ticket);
                Err(why)
            }
        },
    }
}

/// Leaves the queue when the request ends. The message of a request that was given up is not sent.
struct LeaveOnDrop<'a> {
    relay: &'a Relay,
    ticket: u64,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.relay.forget(self.ticket);
    }
}

/// Closes the exchange when its request ends.
struct OpenExchange<'a> {
    relay: &'a Relay,
    id: Id,
}

impl<'a> OpenExchange<'a> {
    fn of(relay: &'a Relay, id: Option<Id>) -> Result<Option<Self>> {
        let Some(id) = id else {
            return Ok(None);
        };
        if relay.open_exchange(&id) {
            Ok(Some(Self { relay, id }))
        } else {
            Err(Error::bad_request(
                "a request with this id is in flight already",
            ))
        }
    }
}

impl Drop for OpenExchange<'_> {
    fn drop(&mut self) {
        self.relay.close_exchange(&self.id);
    }
}
