//! Reads what the client sends.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, Phase, requests::Requests, starting::duplicate};
use crate::{
    Connection, Message, Reply, Request, Result,
    connection::{
        socket::{Failure, HangUp, Incoming},
        work,
    },
    protocol::Inbound,
};

/// Messages read before woken requests and queued messages have their turn.
const READ_AT_ONCE: usize = 16;

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    pub(super) fn is_opening(&self) -> bool {
        self.life.phase() == Phase::Opening
    }

    /// Reads messages until other work may have come up. Returns whether there were any.
    pub(super) fn read_some(&mut self) -> Result<bool, Failure> {
        for count in 0..READ_AT_ONCE {
            let goes_on = count == 0
                || self.life.phase() == Phase::Open && !self.wire.is_blocked() && !work::is_over();
            if !goes_on || !self.read()? {
                return Ok(count > 0);
            }
        }
        Ok(true)
    }

    /// Reads one message, or takes one that was read ahead. Returns `false` if there is none now.
    pub(super) fn read(&mut self) -> Result<bool, Failure> {
        if self.is_opening() {
            return Ok(false);
        }
        if self.requests.in_flight.has_room()
            && let Some((inbound, bytes)) = self.requests.ahead.pop()
        {
            work::spend(bytes + work::EACH);
            self.start_waiting(inbound)?;
            return Ok(true);
        }
        self.read_with(Self::receive)
    }

    /// Reads one message while a reply of many messages is being written: it may cancel that reply.
    #[cold]
    pub(super) fn read_meanwhile(&mut self) -> Result<(), Failure> {
        if self.life.phase() != Phase::Open || self.wire.is_blocked() {
            return Ok(());
        }
        self.read_with(Self::put_off_meanwhile).map(drop)
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        receive: impl FnOnce(&mut Self, Message) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        if self.is_dry || self.is_full() {
            return Ok(false);
        }
        match self.wire.socket.poll_read() {
            Poll::Pending => {
                self.is_dry = true;
                return Ok(false);
            }
            Poll::Ready(incoming) => match incoming? {
                Incoming::Message(message) => receive(self, message)?,
                Incoming::Ping | Incoming::Pong => self.wire.misuse.control_frame()?,
                Incoming::Part => {}
                Incoming::Close(close) => {
                    self.leave();
                    self.connection.outbox().shut();
                    self.life
                        .client_closed(close, self.declared.settings().close_timeout);
                }
            },
        }
        Ok(true)
    }

    fn put_off_meanwhile(&mut self, message: Message) -> Result<(), Failure> {
        self.wire.received();
        let bytes = message.len();
        let inbound = self.parse(message);
        self.put_off(inbound, bytes)
    }

    /// Keeps a request until a slot is free. Everything else does not wait for one: the client takes data, or the
    /// message would not have been read.
    #[inline(never)]
    fn put_off(&mut self, inbound: Inbound, bytes: usize) -> Result<(), Failure> {
        match inbound {
            Inbound::Cancel(cancel) => {
                self.cancel_all(&cancel.requests)?;
                self.put_off(cancel.then, bytes)
            }
            Inbound::Answer(answer) if self.requests.unfinished.is_none() => {
                self.wire.write(&answer)
            }
            Inbound::Answer(answer) => {
                self.requests.ahead.push_answer(*answer);
                Ok(())
            }
            Inbound::Close(close) => Err(Failure::Rule(*close)),
            Inbound::Unique(request, otherwise) => {
                let Requests {
                    in_flight, ahead, ..
                } = &mut self.requests;
                if let Some(close) = duplicate(&request, otherwise, in_flight, ahead) {
                    return Err(Failure::Rule(close));
                }
                ahead.push(Inbound::Request(request), bytes);
                Ok(())
            }
            Inbound::Dropped => Ok(()),
            inbound => {
                self.requests.ahead.push(inbound, bytes);
                Ok(())
            }
        }
    }

    /// Whether nothing more is read until a request ends.
    pub(super) fn is_full(&self) -> bool {
        let max_bytes = self.declared.settings().max_message_size;
        self.requests.ahead.is_full(max_bytes)
    }

    pub(super) fn receive(&mut self, message: Message) -> Result<(), Failure> {
        self.wire.received();
        match self.life.phase() {
            Phase::Open if self.requests.ahead.is_empty() && self.requests.in_flight.has_room() => {
                self.start(message)
            }
            Phase::Open => {
                let bytes = message.len();
                let inbound = self.parse(message);
                self.put_off(inbound, bytes)
            }
            Phase::Draining => self.refuse(message),
            // After the close frame, messages are ignored (RFC 6455, section 5.5.1).
            Phase::Opening | Phase::Closing | Phase::Flushing => Ok(()),
        }
    }
}
