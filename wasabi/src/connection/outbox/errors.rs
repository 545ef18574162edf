//! Why a message was not queued.

use crate::{Message, MessageError};

/// Why a message could not be queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed or closing; contains the message.
    #[error("the connection is closed")]
    Closed(Message),
    /// The value cannot be written as a message.
    #[error(transparent)]
    Unwritable(#[from] MessageError),
}

/// Why a message could not be queued at once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The send queue is full; contains the message.
    #[error("the send queue is full")]
    Full(Message),
    /// The connection is closed or closing; contains the message.
    #[error("the connection is closed")]
    Closed(Message),
    /// The value cannot be written as a message.
    #[error(transparent)]
    Unwritable(#[from] MessageError),
}

impl SendError {
    /// Puts back the sender's message, as it was before interceptors changed it.
    pub(crate) fn about(self, message: Message) -> Self {
        match self {
            Self::Closed(_) => Self::Closed(message),
            Self::Unwritable(error) => Self::Unwritable(error),
        }
    }
}

impl TrySendError {
    /// Puts back the sender's message, as it was before interceptors changed it.
    pub(crate) fn about(self, message: Message) -> Self {
        match self {
            Self::Full(_) => Self::Full(message),
            Self::Closed(_) => Self::Closed(message),
            Self::Unwritable(error) => Self::Unwritable(error),
        }
    }
}
