//! How a connection is.

use std::time::Duration;

/// How the connection of a [`Client`](super::Client) is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is being opened.
    Connecting,
    /// It is open.
    Open,
    /// It was lost, or not opened; the next attempt follows after a pause.
    Waiting {
        /// The pause, from when it began.
        pause: Duration,
        /// The close code, or 1006 if there was none.
        code: u16,
        /// Why there is no connection.
        reason: String,
    },
    /// It has ended for good.
    Closed {
        /// The close code of the gateway, 1006 if there was none; 1000 if the client has ended the connection.
        code: u16,
        /// Why.
        reason: String,
    },
}
