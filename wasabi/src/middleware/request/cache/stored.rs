//! Replies in a cache.

use std::sync::Arc;

use crate::{Error, Message, Reply, Result};

/// A reply with its own copy of the payload.
#[derive(Clone)]
pub(super) struct Stored(Arc<[Message]>);

impl Stored {
    /// Returns `None` for a reply that must not be stored.
    pub(super) fn copy(reply: &Reply) -> Option<Self> {
        if reply.is_none() || reply.is_stream() {
            return None;
        }
        Some(Self(
            reply.as_messages().iter().map(Message::copied).collect(),
        ))
    }

    pub(super) fn reply(&self) -> Reply {
        match &*self.0 {
            [message] => Reply::message(message.clone()),
            messages => Reply::messages(messages.to_vec()),
        }
    }

    pub(super) fn len(&self) -> usize {
        let overhead = size_of::<Message>();
        self.0.iter().map(|message| message.len() + overhead).sum()
    }
}

/// The outcome of a call, for the requests that wait for it.
pub(super) enum Outcome {
    Stored(Stored),
    /// Only the request that made the call may have the reply.
    NotStored,
    Failed(Error),
}

impl Outcome {
    pub(super) fn of(reply: &Result<Reply>) -> Self {
        match reply {
            Ok(reply) => Stored::copy(reply).map_or(Self::NotStored, Self::Stored),
            Err(error) => Self::Failed(error.duplicate()),
        }
    }
}
