//! One message to many connections.

use crate::{Connection, Message, TrySendError, connection::work};

/// What became of a broadcast. Connections that have been closed meanwhile are in neither number.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// How many connections have the message in their queue.
    pub sent: usize,
    /// Connections that did not get it, because their send queue is full.
    pub skipped: Vec<Connection>,
}

/// A clone of a message is a reference count.
pub(super) fn broadcast(connections: Vec<Connection>, message: Message) -> Broadcast {
    let mut outcome = Broadcast::default();
    work::spend(connections.len() * work::EACH);
    for connection in connections {
        match connection.try_send(message.clone()) {
            Ok(()) => outcome.sent += 1,
            Err(TrySendError::Full(_)) => {
                connection.traffic().skipped();
                outcome.skipped.push(connection);
            }
            Err(TrySendError::Closed(_)) => {}
        }
    }
    outcome
}
