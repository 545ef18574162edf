//! Reads what the client sends.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Driver, Phase};
use crate::{
    Message, Reply, Request, Result,
    connection::{
        socket::{Failure, HangUp, Incoming},
        work,
    },
    protocol::Inbound,
};

/// Messages read before woken requests and queued messages have their turn.
const READ_AT_ONCE: usize = 16;

impl<T, F, P, C> Driver<'_, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Inbound,
    C: Fn(Request) -> F,
{
    pub(super) fn is_opening(&self) -> bool {
        self.life.phase() == Phase::Opening
    }

    /// Reads messages until other work may have come up. Returns whether there were any.
    pub(super) fn read_some(&mut self, cx: &Context<'_>) -> Result<bool, Failure> {
        for count in 0..READ_AT_ONCE {
            let goes_on = count == 0
                || self.life.phase() == Phase::Open && !self.wire.is_blocked() && !work::is_over();
            if !goes_on || !self.read(cx)? {
                return Ok(count > 0);
            }
        }
        Ok(true)
    }

    /// Reads one message, or takes one that was read ahead. Returns `false` if there is none now.
    pub(super) fn read(&mut self, cx: &Context<'_>) -> Result<bool, Failure> {
        if self.is_opening() {
            return Ok(false);
        }
        if self.requests.in_flight.has_room()
            && let Some(message) = self.requests.ahead.pop()
        {
            work::spend(message.len() + work::EACH);
            self.start(message, cx)?;
            return Ok(true);
        }
        if self.is_full() {
            return Ok(false);
        }
        match self.wire.socket.poll_read() {
            Poll::Pending => return Ok(false),
            Poll::Ready(incoming) => match incoming? {
                Incoming::Message(message) => self.receive(message, cx)?,
                Incoming::Ping | Incoming::Pong => self.wire.misuse.control_frame()?,
                Incoming::Part => {}
                Incoming::Close(close) => {
                    self.leave();
                    self.connection.outbox().shut();
                    self.life.client_closed(close);
                }
            },
        }
        Ok(true)
    }

    /// Whether nothing more is read until a request ends.
    pub(super) fn is_full(&self) -> bool {
        let max_bytes = self.settings.max_message_size;
        self.requests.ahead.is_full(max_bytes)
    }

    pub(super) fn receive(&mut self, message: Message, cx: &Context<'_>) -> Result<(), Failure> {
        self.wire.received();
        match self.life.phase() {
            Phase::Open if self.requests.ahead.is_empty() && self.requests.in_flight.has_room() => {
                self.start(message, cx)
            }
            Phase::Open => {
                self.requests.ahead.push(message);
                Ok(())
            }
            Phase::Draining => self.refuse(message),
            // After the close frame, messages are ignored (RFC 6455, section 5.5.1).
            Phase::Opening | Phase::Closing | Phase::Flushing => Ok(()),
        }
    }
}
