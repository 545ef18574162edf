//! One message to many connections.

use crate::{Connection, Message, TrySendError, connection::work};

/// The outcome of a broadcast. Connections that closed meanwhile are not counted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// The number of connections that have the message in their queue.
    pub sent: usize,
    /// Connections that did not get the message because their send queue was full.
    pub skipped: Vec<Connection>,
}

/// Cloning a message only counts a reference.
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
