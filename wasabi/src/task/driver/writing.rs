//! Writes what goes to the client.

use std::task::Poll;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Driver, Phase};
use crate::{
    CloseCode, Message, Reply, Request, Result,
    connection::{
        outbox::Requested,
        socket::{Failure, HangUp},
        work,
    },
    parser::Inbound,
    reply::Body,
};

impl<T, F, P, C> Driver<'_, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Inbound,
    C: Fn(Request) -> F,
{
    pub(super) fn write_all(&mut self, reply: Reply) -> Result<(), Failure> {
        self.write_body(reply.into_body())
    }

    pub(super) fn write_body(&mut self, body: Body) -> Result<(), Failure> {
        match body {
            Body::One(message) => self.write(&message),
            Body::Many(messages) => messages
                .into_iter()
                .try_for_each(|message| self.write(&message)),
            Body::None | Body::Stream(_) => Ok(()),
        }
    }

    pub(super) fn write(&mut self, message: &Message) -> Result<(), Failure> {
        self.note(message);
        self.socket.write(message)
    }

    #[inline(always)]
    fn note(&mut self, message: &Message) {
        work::spend(message.len() + work::EACH);
        self.flow.wrote(message.len());
        self.tally.sent();
        if self.settings.idle_timeout.is_some() {
            self.clock.active = Instant::now();
        }
    }

    /// Writes the messages queued by other tasks.
    pub(super) fn send_queued(&mut self) -> Result<bool, Failure> {
        let outbox = self.connection.outbox();
        if self.batch.is_empty() {
            match outbox.take(&mut self.batch) {
                Requested::Nothing => {}
                Requested::Close if matches!(self.life.phase(), Phase::Open | Phase::Opening) => {
                    if let Some(close) = outbox.requested_close() {
                        self.life.decide(close);
                    }
                    self.drain();
                }
                Requested::Close => {}
                Requested::Stop => {
                    if let Some(close) = outbox.requested_close() {
                        self.life.decide(close);
                    }
                    self.batch.clear();
                    if self.life.phase() != Phase::Closing {
                        self.give_up_requests()?;
                    }
                    match self.life.close() {
                        Some(close) if close.code != CloseCode::ABNORMAL => {
                            self.socket.close(close)?;
                        }
                        _ => {}
                    }
                    self.life.stop();
                    return Ok(true);
                }
            }
        }
        let (mut count, mut bytes) = (0, 0);
        let mut result = Ok(());
        while !self.socket.is_blocked() && result.is_ok() && (count == 0 || !work::is_over()) {
            let Some(message) = self.batch.pop_front() else {
                break;
            };
            count += 1;
            bytes += message.len();
            self.note(&message);
            result = self.socket.write_shared(message);
        }
        self.connection.outbox().release(count, bytes);
        result.map(|()| count > 0)
    }

    pub(super) fn flush(&mut self) -> Result<Poll<()>, Failure> {
        let held = self.requests.held_bytes();
        let (flushed, waiting) = match self.socket.poll_flush() {
            Poll::Ready(result) => {
                result?;
                (Poll::Ready(()), self.flow.flushed(held))
            }
            Poll::Pending => {
                let taken = self.socket.written();
                (Poll::Pending, self.flow.blocked(taken, held))
            }
        };
        if let Some(bytes) = waiting {
            self.connection.held().set_waiting(bytes);
        }
        Ok(flushed)
    }
}
