//! The single task of a connection: it reads, dispatches and writes.

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
        heartbeat::Heartbeat,
        in_flight::{InFlight, Tag},
        socket::{Failure, HangUp, Socket},
        timer::Timer,
        work,
    },
    metrics::Tally,
    panics::discard,
    parser::Parsed,
    reply::Body,
    request,
    task::settings::Settings,
};

/// Serves one connection: reads, dispatches and writes.
pub(crate) struct Driver<'a, T, F, P, C> {
    socket: Socket<T>,
    connection: &'a Connection,
    settings: &'a Settings,
    errors: &'a ErrorFormat,
    parse: P,
    call: C,
    in_flight: InFlight<F, InSlot>,
    companions: Companions,
    /// Slots whose requests continue when the client takes more data, first come first served.
    held: VecDeque<usize>,
    held_bytes: usize,
    /// The slot of a reply whose first messages are written and whose others follow. Nothing is written in between.
    unfinished: Option<usize>,
    /// Messages that were read while no slot was free.
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    /// Messages taken from the outbox but not written yet.
    batch: VecDeque<Message>,
    life: Life,
    /// Counts the messages.
    tally: Tally,
    /// Bytes handed to the socket since it was last flushed completely.
    unsent: usize,
    /// The last published number of bytes that wait for the client.
    waiting: usize,
    blocked: Option<Blocked>,
    clock: Clock,
    timer: Timer,
    /// The last turn ended before the work did.
    goes_on: bool,
    /// The client broke the protocol. Its last bytes may still be arriving, and closing the socket over them would
    /// destroy the close frame.
    lingers: bool,
    /// The client has yet to receive what was sent before its close frame arrived.
    is_unsent: bool,
    /// The client has hung up, and it may have sent more than was read.
    is_unread: bool,
}

/// The data of a request in flight.
#[derive(Default)]
struct InSlot {
    id: Option<RequestId>,
    route: &'static str,
    owes_reply: bool,
    /// The reply while the client takes no data, or the rest of a streaming reply.
    reply: Option<Body>,
    /// Whether the slot is in `held`.
    is_held: bool,
    /// When the source of a streaming reply fell silent, although it was polled.
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

/// The client currently takes no data.
struct Blocked {
    /// When the client last reached the minimum rate. Progress shows only in large steps, so it is measured at the end
    /// of each.
    since: Instant,
    /// Bytes that the client had taken by then.
    written: u64,
}

/// What was last heard of the client, and when.
struct Clock {
    heartbeat: Heartbeat,
    /// The last message in either direction.
    active: Instant,
    /// When a client that is not being read was last checked for a hang-up.
    looked: Instant,
    /// Recent pings and pongs from the client.
    control: Count,
    /// Recent messages that could not be read.
    invalid: Count,
    /// The earliest time at which a streaming reply can have been silent for too long.
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

    /// Takes the decision of `on_connect`.
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
            // The connection's own work may have woken it, before others had their turn.
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
            // Deadlines also count for a client that never stops sending.
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

    /// Works until the turn is over, or until there is nothing to do but wait.
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
                    // Requests that continue after the client need not wait for the flush.
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
                // Nothing may be written between its messages, and the turn is over.
            } else if !self.socket.is_blocked() {
                progress |= self.send_held()?;
                let sent = self.send_queued()?;
                progress |= sent;
                // If something was sent, more may be queued.
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
            // Companions run last: they collect their work for one wake-up of the connection.
            if self.companions.poll(self.connection, cx) {
                if !work::is_over() {
                    continue;
                }
                progress = true;
            }
            // A message that is still arriving is a sign of life too: a pong cannot overtake it.
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
