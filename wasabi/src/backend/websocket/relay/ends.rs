//! The two ends of a relay, behind its lock.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use super::Event;
use crate::{
    Connection, TrySendError,
    backend::websocket::{
        correlate::{Exchanges, id_of},
        stream::Io,
        unreachable::Unreachable,
        waiting::Waiting,
    },
    connection::{
        socket::{Failure, Incoming, Socket},
        work,
    },
    parser::IdAt,
};

/// The two ends of a relay: the requests, and the upstream.
pub(super) struct Ends {
    pub(super) upstream: Upstream,
    pub(super) waiting: Waiting,
    pub(super) exchanges: Exchanges,
    /// Wakes the companion, which serves the upstream connection.
    companion: Waker,
    /// Whether the companion has already been woken.
    is_woken: bool,
    /// Whether the companion has stopped reading until requests pick up their answers.
    waits_for_requests: bool,
}

pub(super) enum Upstream {
    /// The next message dials.
    Idle,
    Connecting,
    /// Dialled before the client's handshake was accepted; no companion serves it yet.
    Ready(Socket<Io>),
    Open(Socket<Io>),
    /// The client is being closed.
    Ended(Unreachable),
}

impl Ends {
    pub(super) fn new() -> Self {
        Self {
            upstream: Upstream::Idle,
            waiting: Waiting::default(),
            exchanges: Exchanges::default(),
            companion: Waker::noop().clone(),
            is_woken: false,
            waits_for_requests: false,
        }
    }

    pub(super) fn register(&mut self, cx: &Context<'_>) {
        self.is_woken = false;
        self.companion.clone_from(cx.waker());
        if let Upstream::Open(socket) = &mut self.upstream {
            socket.register(cx.waker());
        }
    }

    pub(super) fn received(&self) -> u64 {
        match &self.upstream {
            Upstream::Open(socket) => socket.received(),
            _ => 0,
        }
    }

    pub(super) fn wake_companion(&mut self) {
        if !mem::replace(&mut self.is_woken, true) {
            self.companion.wake_by_ref();
        }
    }

    /// Whether the upstream is being read.
    pub(super) fn is_read(&self) -> bool {
        !self.waits_for_requests
    }

    /// A request has ended: if the companion waits for that, it reads again.
    pub(super) fn read_again(&mut self) {
        if mem::take(&mut self.waits_for_requests) {
            self.wake_companion();
        }
    }

    /// Writes the queue and flushes, as far as the upstream takes it. Returns how many bytes the upstream has taken if
    /// it takes no more now.
    pub(super) fn write(&mut self, cx: &Context<'_>) -> Result<Option<u64>, Failure> {
        let Upstream::Open(socket) = &mut self.upstream else {
            return Ok(None);
        };
        let mut has_written = false;
        loop {
            if let Poll::Ready(result) = socket.poll_flush() {
                result?;
            } else {
                return Ok(Some(socket.written()));
            }
            // Messages after a close wait for the next connection.
            if self.waiting.is_empty() || !socket.is_open() {
                return Ok(None);
            }
            if mem::replace(&mut has_written, true) && work::is_over() {
                work::come_back(cx.waker());
                return Ok(None);
            }
            let mut first = true;
            while !socket.is_blocked() && (mem::take(&mut first) || !work::is_over()) {
                let Some(place) = self.waiting.pop() else {
                    break;
                };
                place.request.wake();
                work::spend(place.message.len() + work::EACH);
                // Marked before writing: if writing fails, a part of the message may have been sent.
                if let Some(id) = &place.id {
                    self.exchanges.sent(id);
                }
                socket.write(&place.message)?;
            }
        }
    }

    /// Passes messages to the client as long as the client takes them.
    pub(super) fn read(
        &mut self,
        cx: &Context<'_>,
        client: &Connection,
        correlate: Option<&IdAt>,
    ) -> Result<Poll<Event>, Failure> {
        let Upstream::Open(socket) = &mut self.upstream else {
            return Ok(Poll::Pending);
        };
        loop {
            if correlate.is_some() {
                if client.held().is_full() {
                    return Ok(Poll::Ready(Event::Held));
                }
                if self.exchanges.bytes() >= client.held().limit() {
                    self.waits_for_requests = true;
                    return Ok(Poll::Pending);
                }
            }
            let Poll::Ready(incoming) = socket.poll_read() else {
                return Ok(Poll::Pending);
            };
            match incoming? {
                Incoming::Message(message) => {
                    let id = correlate.and_then(|at| id_of(&message, at));
                    let unsolicited = match id {
                        Some(id) => self.exchanges.answer(&id, message),
                        None => Some(message),
                    };
                    // An interceptor sees a message once, even if the message has to wait.
                    let outgoing = unsolicited.and_then(|message| client.outgoing(message));
                    // A client that is being closed gets nothing more.
                    if let Some(outgoing) = outgoing
                        && let Err(TrySendError::Full(message)) = client.outbox().try_send(outgoing)
                    {
                        return Ok(Poll::Ready(Event::Full(message)));
                    }
                }
                Incoming::Close(close) => return Ok(Poll::Ready(Event::Closed(close))),
                Incoming::Ping | Incoming::Pong | Incoming::Part => {}
            }
            if work::is_over() {
                work::come_back(cx.waker());
                return Ok(Poll::Pending);
            }
        }
    }
}
