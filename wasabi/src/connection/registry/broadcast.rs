//! One message to many connections.

use crate::{
    Connection, IntoMessage, Message, MessageError, TrySendError,
    connection::work,
    log::{limited, said},
};

/// The outcome of a broadcast. Connections that closed meanwhile are not counted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// The number of connections that have the message in their queue.
    pub sent: usize,
    /// Connections that did not get the message because their send queue was full.
    pub skipped: Vec<Connection>,
    /// Set if the value cannot be written as a message: then nobody got it. It is logged, too.
    pub error: Option<MessageError>,
}

/// Lists the connections only if there is a message for them.
pub(super) fn broadcast(
    message: impl IntoMessage,
    connections: impl FnOnce() -> Vec<Connection>,
) -> Broadcast {
    match message.into_message() {
        Ok(message) => deliver(message, connections()),
        Err(error) => {
            limited!(ERROR, error = %said(&error), "broadcast failed");
            Broadcast {
                error: Some(error),
                ..Broadcast::default()
            }
        }
    }
}

/// Cloning a message only counts a reference.
fn deliver(message: Message, connections: Vec<Connection>) -> Broadcast {
    let mut outcome = Broadcast::default();
    work::spend(connections.len() * work::EACH);
    for connection in connections {
        match connection.try_send(message.clone()) {
            Ok(()) => outcome.sent += 1,
            Err(TrySendError::Full(_)) => {
                connection.traffic().skipped();
                outcome.skipped.push(connection);
            }
            Err(TrySendError::Closed(_) | TrySendError::Unwritable(_)) => {}
        }
    }
    outcome
}
