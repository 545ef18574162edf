//! The wire to the client: its socket, and what is counted and timed about it.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{clock::Clock, flow::Flow, misuse::Misuse};
use crate::{
    Message,
    channel::Settings,
    connection::{
        socket::{Failure, Socket},
        work,
    },
    metrics::Tally,
    reply::Body,
    time::Moment,
};

pub(super) struct Wire<T> {
    pub(super) socket: Socket<T>,
    pub(super) flow: Flow,
    pub(super) clock: Clock,
    pub(super) misuse: Misuse,
    /// Counts the messages.
    pub(super) tally: Tally,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub(super) fn new(socket: Socket<T>, now: Moment, settings: &Settings) -> Self {
        Self {
            socket,
            flow: Flow::default(),
            clock: Clock::from(now, settings),
            misuse: Misuse::from(now),
            tally: Tally::default(),
        }
    }

    /// Whether the client currently takes no data.
    pub(super) fn is_blocked(&self) -> bool {
        self.socket.is_blocked()
    }

    /// A message was read.
    pub(super) fn received(&mut self) {
        self.tally.received();
        self.clock.act();
    }

    pub(super) fn write(&mut self, message: &Message) -> Result<(), Failure> {
        self.note(message);
        self.socket.write(message)
    }

    /// Writes a message that other connections may write too.
    pub(super) fn write_shared(&mut self, message: Message) -> Result<(), Failure> {
        self.note(&message);
        self.socket.write_shared(message)
    }

    /// Writes the messages of a reply that are present.
    pub(super) fn write_body(&mut self, body: Body) -> Result<(), Failure> {
        match body {
            Body::One(message) => self.write(&message),
            Body::Many(messages) => messages
                .into_iter()
                .try_for_each(|message| self.write(&message)),
            Body::None | Body::Stream(_) => Ok(()),
            Body::Gated(gated) => self.write_body(gated.opened()),
        }
    }

    #[inline(always)]
    fn note(&mut self, message: &Message) {
        work::spend(message.len() + work::EACH);
        self.flow.wrote(message.len());
        self.tally.sent();
        self.clock.act();
    }

    /// Sends what was written; replies of `held` bytes wait besides. Returns whether the client has taken everything,
    /// and the number of waiting bytes if it must be published.
    #[inline]
    pub(super) fn flush(&mut self, held: usize) -> Result<(Poll<()>, Option<usize>), Failure> {
        Ok(match self.socket.poll_flush() {
            Poll::Ready(result) => {
                result?;
                (Poll::Ready(()), self.flow.flushed(held))
            }
            Poll::Pending => {
                let taken = self.socket.written();
                (Poll::Pending, self.flow.blocked(taken, held))
            }
        })
    }
}
