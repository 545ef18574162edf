//! The one task of a connection: it reads, dispatches and writes.

mod closing;
mod count;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod leaving;
mod life;
mod reading;
mod requests;
mod time;
mod writing;

use std::{
    collections::VecDeque,
    mem,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use self::{
    count::Count,
    life::{Life, Phase},
};
use crate::{
    Close, Connection, ErrorFormat, Message, Reply, Request, RequestId, Result,
    connection::{
        companions::Companions,
        heartbeat::{Heartbeat, Pings},
        in_flight::{InFlight, Tag},
        socket::{Failure, HangUp, Limits, Socket},
        timer::Timer,
        work,
    },
    metrics::Tally,
    panics::discard,
    parser::Parsed,
    reply::Body,
    request,
};

/// What a channel sets for its connections.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) max_header_size: usize,
    pub(crate) concurrency: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) open_timeout: Duration,
    pub(crate) pings: Pings,
    pub(crate) send_timeout: Duration,
    pub(crate) stream_idle_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) max_waiting_messages: usize,
    pub(crate) max_waiting_bytes: usize,
}

impl Settings {
    /// Without a slot for a request, or a place for a message, nothing would go on: also of a gateway that is served
    /// without a check.
    pub(crate) fn at_least_one(mut self) -> Self {
        self.concurrency = self.concurrency.max(1);
        self.max_waiting_messages = self.max_waiting_messages.max(1);
        self
    }
}

pub(crate) struct Driver<'a, T, F, P, C> {
    socket: Socket<T>,
    connection: &'a Connection,
    settings: &'a Settings,
    errors: &'a ErrorFormat,
    parse: P,
    call: C,
    in_flight: InFlight<F, InSlot>,
    companions: Companions,
    /// Slots whose requests go on when the client takes more, in the order in which they came to that.
    held: VecDeque<usize>,
    held_bytes: usize,
    /// The slot of a reply of many messages of which the first ones are written. Nothing comes between them.
    unfinished: Option<usize>,
    /// Read, but there was no free slot.
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    /// Taken from the outbox, not written yet.
    batch: VecDeque<Message>,
    life: Life,
    /// How many messages there were.
    tally: Tally,
    /// Bytes handed to the socket since it last had sent everything.
    unsent: usize,
    /// Bytes that others know to wait for the client.
    waiting: usize,
    blocked: Option<Blocked>,
    clock: Clock,
    timer: Timer,
    /// There was more to do when the last turn was over.
    goes_on: bool,
    /// The client broke the protocol: its last bytes may still be on their way, and closing the socket over them
    /// would destroy the close frame.
    lingers: bool,
    /// The client is still to get what it was sent before its close frame came.
    is_unsent: bool,
    /// The client has hung up, and there may be more of it than was read.
    is_unread: bool,
}

/// What belongs to a request while it is in flight.
#[derive(Default)]
struct InSlot {
    id: Option<RequestId>,
    route: &'static str,
    owes_reply: bool,
    /// The reply, while the client takes none, or the rest of a streaming one.
    reply: Option<Body>,
    /// Whether it is among those that wait for the client.
    is_held: bool,
    /// Since when the source of a streaming reply has been silent although it was asked.
    silent: Option<Instant>,
}

impl Tag for InSlot {
    fn clear(&mut self) {
        self.id = None;
        self.is_held = false;
        self.silent = None;
        if let Some(reply) = self.reply.take() {
            discard(reply);
        }
    }
}

/// The client takes no more for now.
struct Blocked {
    /// When it had last taken as much as it must. It is seen in large steps how much that is, at the end of each.
    since: Instant,
    /// Bytes that it had taken then.
    written: u64,
}

/// When the client was heard, and what follows from that.
struct Clock {
    heartbeat: Heartbeat,
    /// The last message in either direction.
    active: Instant,
    /// When it was last looked whether the client has hung up while it is not read.
    looked: Instant,
    /// Pings and pongs of the client since that moment.
    control: Count,
    /// Messages that could not be read.
    invalid: Count,
    /// No streaming reply has been silent for too long before this.
    streams: Option<Instant>,
}

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Parsed,
    C: Fn(Request) -> F,
{
    pub(crate) fn new(
        socket: Socket<T>,
        connection: &'a Connection,
        settings: &'a Settings,
        errors: &'a ErrorFormat,
        parse: P,
        call: C,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            connection,
            settings,
            errors,
            parse,
            call,
            in_flight: InFlight::new(settings.concurrency),
            companions: Companions::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            unfinished: None,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            batch: VecDeque::new(),
            life: Life::new(now, settings.open_timeout, settings.close_timeout),
            tally: Tally::default(),
            unsent: 0,
            waiting: 0,
            blocked: None,
            clock: Clock {
                heartbeat: Heartbeat::from(now),
                active: now,
                looked: now,
                control: Count::from(now),
                invalid: Count::from(now),
                streams: None,
            },
            timer: Timer::default(),
            goes_on: false,
            lingers: false,
            is_unsent: false,
            is_unread: false,
        }
    }

    /// `on_connect` has admitted the connection, or has not.
    pub(crate) fn opened(&mut self, admitted: Result<(), Close>) {
        match admitted {
            Ok(()) => self.life.admit(),
            Err(close) => {
                self.life.decide(close);
                self.drain();
            }
        }
    }

    /// Runs the connection until it ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        if mem::take(&mut self.goes_on) {
            // What it did itself may have woken it, before the others had their turn.
            work::come_back(cx.waker());
            return Poll::Pending;
        }
        self.socket.register(cx.waker());
        self.in_flight.register(cx.waker());
        self.companions.register(cx.waker());
        self.connection.outbox().register(cx.waker());
        loop {
            let turn = self.turn(cx);
            self.connection.traffic().publish(&self.tally, &self.socket);
            match turn {
                Ok(Turn::Yield | Turn::Wait) => {}
                Ok(Turn::End) => return Poll::Ready(self.ended()),
                Err(failure) => {
                    if self.failed(failure).is_ready() {
                        return Poll::Ready(self.ended());
                    }
                    continue;
                }
            }
            // What is due is due also for a client that never stops.
            if self.poll_timer(cx).is_pending() {
                if let Ok(Turn::Yield) = turn {
                    self.goes_on = true;
                    work::come_back(cx.waker());
                }
                return Poll::Pending;
            }
            if self.expired().is_ready() {
                return Poll::Ready(self.ended());
            }
        }
    }

    fn ended(&mut self) -> Close {
        self.leave();
        self.life.end()
    }

    /// Goes on until there is nothing to do but wait.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Turn, Failure> {
        let _keeps = request::KeepsHandle::begin();
        work::begin();
        let received = self.socket.received();
        loop {
            if self.socket.is_blocked() {
                let _ = self.flush()?;
            }
            if self.life.phase() == Phase::Flushing {
                return match self.flush()? {
                    Poll::Ready(()) => Ok(Turn::End),
                    // What is left to be sent keeps nothing else waiting.
                    Poll::Pending if self.has_work() => {
                        self.is_unsent = true;
                        Ok(Turn::End)
                    }
                    Poll::Pending => Ok(Turn::Wait),
                };
            }
            if self.unfinished.is_some() && !self.finish_many()? {
                let _ = self.flush()?;
                return Ok(Turn::Yield);
            }
            let mut progress = self.poll_woken()?;
            if self.unfinished.is_some() {
                // Nothing comes between its messages, and the turn is over.
            } else if !self.socket.is_blocked() {
                progress |= self.send_held()?;
                let sent = self.send_queued()?;
                progress |= sent;
                // As long as there was something, there may be more.
                if !sent && let Turn::End = self.check_close()? {
                    return Ok(Turn::End);
                }
                progress |= self.read_some(cx)?;
            } else if self.connection.outbox().wants_stop() {
                if let Some(close) = self.connection.outbox().requested_close() {
                    self.life.decide(close);
                }
                return Ok(Turn::End);
            }
            if progress && !work::is_over() {
                continue;
            }
            // The others gather what they do for one wake-up of the connection, and come last.
            if self.companions.poll(self.connection, cx) {
                if !work::is_over() {
                    continue;
                }
                progress = true;
            }
            // A message that is still on its way is a sign of life, too: no pong gets past it.
            if self.socket.received() != received {
                self.hear();
            }
            let _ = self.flush()?;
            return Ok(if progress { Turn::Yield } else { Turn::Wait });
        }
    }
}

enum Turn {
    Wait,
    Yield,
    End,
}
