//! Messages that no request waits for.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::GatewayError;
use crate::Message;

/// A message that no request waits for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Unasked {
    /// An error.
    Error(GatewayError),
    /// Anything else.
    Message(Message),
}

impl Unasked {
    /// The message as JSON of a type; `None` if it is not.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Message(message) => serde_json::from_slice(message.as_bytes()).ok(),
            Self::Error(_) => None,
        }
    }

    /// The text of a text message.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Message(message) => message.as_text().map(str::to_owned),
            Self::Error(_) => None,
        }
    }

    /// The data of a binary message.
    pub fn binary(&self) -> Option<Bytes> {
        match self {
            Self::Message(Message::Binary(data)) => Some(data.clone()),
            Self::Message(Message::Text(_)) | Self::Error(_) => None,
        }
    }
}

/// A type that such messages are read as. Generated files have one for each channel.
pub trait Event {
    /// Reads a message. What it does not know it keeps as it is.
    fn read(message: Unasked) -> Self;
}

impl Event for Unasked {
    fn read(message: Unasked) -> Self {
        message
    }
}

/// The messages that no request waits for: see [`Client::events`](super::Client::events). They go on over
/// connections.
#[derive(Debug)]
pub struct Events<E> {
    receiver: Option<Receiver<Unasked>>,
    missed: u64,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Events<E> {
    pub(super) fn new(receiver: Option<Receiver<Unasked>>) -> Self {
        Self {
            receiver,
            missed: 0,
            event: PhantomData,
        }
    }

    /// The next one; `None` once the client has ended. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<E> {
        let receiver = self.receiver.as_mut()?;
        loop {
            match receiver.recv().await {
                Ok(message) => return Some(E::read(message)),
                Err(RecvError::Lagged(count)) => self.missed += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many were missed, because they were not taken soon enough.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
