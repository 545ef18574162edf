//! The one task of a connection: it reads, dispatches and writes.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Connection,
    companions::Companions,
    in_flight::{InFlight, Polled},
    outbox::Requested,
    socket::{Failure, Incoming, Limits, Socket},
};
use crate::{
    Close, CloseCode, Error, ErrorFormat, Message, Reply, Request, RequestId, Result, error_format,
    parser::Parsed,
    reply::{Body, ReplyStream},
};

/// What a channel sets for its connections.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) concurrency: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) ping: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
    pub(crate) send_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) send_queue: usize,
    pub(crate) send_buffer: usize,
}

/// Longer times would not fit into an `Instant`.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Pings and pongs that a client may send within a second. Answering them is work that nobody has asked for.
const CONTROL_FRAMES: u32 = 100;

/// Messages that one wake-up may read before other connections have their turn.
const BUDGET: usize = 128;

/// Messages that are read before woken requests and queued messages have their turn.
const READ_AT_ONCE: usize = 16;

/// Messages that are read ahead while every slot is busy, so that pings and closes behind them are seen.
/// Together they have at most the bytes of one message of the largest size, or are one message.
const READ_AHEAD: usize = 16;

pub(crate) struct Driver<'a, T, F, P, C> {
    pub(crate) socket: Socket<T>,
    connection: &'a Connection,
    settings: &'a Settings,
    errors: &'a ErrorFormat,
    parse: P,
    call: C,
    in_flight: InFlight<F, InSlot>,
    pub(crate) companions: Companions,
    /// Slots whose requests go on when the client takes more, in the order in which they came to that.
    held: VecDeque<usize>,
    /// Read, but there was no free slot.
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    /// Taken from the outbox, not written yet.
    batch: VecDeque<Message>,
    phase: Phase,
    /// How the connection ends, once that is known.
    close: Option<Close>,
    /// Bytes handed to the socket since it last had sent everything.
    unsent: usize,
    blocked: Option<Blocked>,
    clock: Clock,
    timer: Option<Pin<Box<Sleep>>>,
    /// The client broke the protocol: its last bytes may still be on their way, and closing the socket over them
    /// would destroy the close frame.
    pub(crate) lingers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `on_connect` is running; nothing is read.
    Opening,
    Open,
    /// The server wants to close: what is in flight is finished first.
    Draining {
        until: Instant,
    },
    /// The server's close frame is written; the client's is awaited.
    Closing {
        until: Instant,
    },
    /// Only what is written goes out still.
    Flushing {
        until: Instant,
    },
}

/// What belongs to a request while it is in flight.
struct InSlot {
    id: Option<RequestId>,
    route: &'static str,
    /// The reply, while the client takes none, or the rest of a streaming one.
    reply: Option<Body>,
    /// Whether it is among those that wait for the client.
    is_held: bool,
}

/// The client takes no more for now.
struct Blocked {
    /// When it last took something.
    since: Instant,
    /// Bytes that it had taken then.
    written: u64,
}

/// When the client was heard, and what follows from that.
struct Clock {
    heard: Instant,
    /// The last message in either direction.
    active: Instant,
    pinged: Option<Instant>,
    /// Pings and pongs of the client since that moment.
    control: (Instant, u32),
}

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Result<Parsed>,
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
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            batch: VecDeque::new(),
            phase: Phase::Opening,
            close: None,
            unsent: 0,
            blocked: None,
            clock: Clock {
                heard: now,
                active: now,
                pinged: None,
                control: (now, 0),
            },
            timer: None,
            lingers: false,
        }
    }

    /// `on_connect` has admitted the connection, or has not.
    pub(crate) fn opened(&mut self, admitted: Result<(), Close>) {
        match admitted {
            Ok(()) if self.phase == Phase::Opening => self.phase = Phase::Open,
            // Somebody has closed the connection meanwhile.
            Ok(()) => {}
            Err(close) => {
                self.close = Some(close);
                self.drain();
            }
        }
    }

    /// Runs the connection until it ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        self.socket.register(cx.waker());
        self.in_flight.register(cx.waker());
        self.companions.register(cx.waker());
        self.connection.outbox().register(cx.waker());
        loop {
            let turn = self.turn(cx);
            match turn {
                Ok(Turn::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Turn::Wait) => {}
                Ok(Turn::End) => return Poll::Ready(self.ended()),
                Err(failure) => {
                    if self.failed(failure).is_ready() {
                        return Poll::Ready(self.ended());
                    }
                    continue;
                }
            }
            ready!(self.poll_timer(cx));
            if self.expired().is_ready() {
                return Poll::Ready(self.ended());
            }
        }
    }

    fn ended(&mut self) -> Close {
        self.cancel_requests();
        self.close
            .take()
            .unwrap_or_else(|| CloseCode::ABNORMAL.into())
    }

    /// Goes on until there is nothing to do but wait.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Turn, Failure> {
        let mut budget = BUDGET;
        let received = self.socket.received();
        loop {
            if self.socket.is_blocked() {
                let _ = self.flush()?;
            }
            if let Phase::Flushing { .. } = self.phase {
                return match self.flush()? {
                    Poll::Ready(()) => Ok(Turn::End),
                    Poll::Pending => Ok(Turn::Wait),
                };
            }
            let mut progress = self.poll_woken()?;
            if !self.socket.is_blocked() {
                progress |= self.send_held()?;
                let sent = self.send_queued()?;
                progress |= sent;
                // As long as there was something, there may be more.
                if !sent && let Turn::End = self.check_close()? {
                    return Ok(Turn::End);
                }
                let count = self.read_some(cx, budget)?;
                progress |= count > 0;
                budget -= count.saturating_sub(1);
            } else if self.connection.outbox().wants_stop() {
                self.close = self.connection.outbox().requested_close();
                return Ok(Turn::End);
            }
            if progress {
                budget -= 1;
                if budget > 0 {
                    continue;
                }
            }
            // The others gather what they do for one wake-up of the connection, and come last.
            if self.companions.poll(self.connection, cx) {
                budget = budget.saturating_sub(1);
                if budget > 0 {
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

    fn hear(&mut self) {
        if self.settings.ping.is_some() || self.settings.idle_timeout.is_some() {
            self.clock.heard = Instant::now();
            self.clock.pinged = None;
        }
    }

    fn flush(&mut self) -> Result<Poll<()>, Failure> {
        Ok(match self.socket.poll_flush() {
            Poll::Ready(result) => {
                result?;
                self.unsent = 0;
                self.blocked = None;
                Poll::Ready(())
            }
            Poll::Pending => {
                let written = self.socket.written();
                if self
                    .blocked
                    .as_ref()
                    .is_none_or(|blocked| blocked.written != written)
                {
                    let since = Instant::now();
                    self.blocked = Some(Blocked { since, written });
                }
                Poll::Pending
            }
        })
    }

    // Requests

    /// Polls the requests that have been woken, also while the client takes no replies: what they hold, others may
    /// need.
    fn poll_woken(&mut self) -> Result<bool, Failure> {
        let mut progress = false;
        for word in 0..self.in_flight.words() {
            let mut woken = self.in_flight.take_woken(word);
            while woken != 0 {
                let bit = woken.trailing_zeros();
                woken &= woken - 1;
                progress = true;
                self.step(word * 64 + bit as usize)?;
            }
        }
        Ok(progress)
    }

    /// Goes on with the replies that had to wait.
    fn send_held(&mut self) -> Result<bool, Failure> {
        let count = self.held.len();
        for _ in 0..count {
            let Some(index) = self.held.pop_front() else {
                break;
            };
            let Some(slot) = self.in_flight.tag_mut(index) else {
                continue;
            };
            slot.is_held = false;
            if let Some(body) = slot.reply.take() {
                self.reply(index, body)?;
            }
        }
        Ok(count > self.held.len())
    }

    /// Whether a reply may be written: the client takes it, or there is room for it in the send buffer.
    fn has_room(&self) -> bool {
        !self.socket.is_blocked() || self.unsent < self.settings.send_buffer
    }

    fn parse(&self, message: Message) -> Result<Parsed> {
        catch_unwind(AssertUnwindSafe(|| (self.parse)(message)))
            .unwrap_or_else(|_| Err(panicked("the request parser")))
    }

    fn start(&mut self, message: Message, cx: &Context<'_>) -> Result<(), Failure> {
        let (parse, call, in_flight) = (&self.parse, &self.call, &mut self.in_flight);
        let mut is_parsed = false;
        // From the parser to the slot in one go: what is large is moved once.
        let started = catch_unwind(AssertUnwindSafe(|| match parse(message) {
            Ok(Parsed::Request(request)) => {
                is_parsed = true;
                let slot = InSlot {
                    id: request.id().cloned(),
                    route: request.route(),
                    reply: None,
                    is_held: false,
                };
                Started::Slot(in_flight.insert(call(request), slot, cx.waker()))
            }
            Ok(Parsed::Dropped) => Started::Dropped,
            Ok(Parsed::Invalid(error, id)) => Started::Invalid(error, id),
            Err(error) => Started::Invalid(error, None),
        }));
        let (error, id) = match started {
            Ok(Started::Slot(index)) => return self.run(index),
            Ok(Started::Dropped) => return Ok(()),
            Ok(Started::Invalid(error, id)) => (error, id),
            Err(_) if is_parsed => (panicked("the backend"), None),
            Err(_) => (panicked("the request parser"), None),
        };
        let reply = error_format::report(self.errors, &error, id.as_ref(), "");
        self.write_all(reply)
    }

    /// Goes on with the request in a slot that has been woken.
    fn step(&mut self, index: usize) -> Result<(), Failure> {
        match self.in_flight.tag_mut(index) {
            None => return Ok(()), // woken too late
            Some(slot) if slot.is_held => return Ok(()),
            Some(slot) => {
                if let Some(rest) = slot.reply.take() {
                    return self.reply(index, rest);
                }
            }
        }
        self.run(index)
    }

    /// Polls the request in a slot.
    fn run(&mut self, index: usize) -> Result<(), Failure> {
        match self.in_flight.poll(index) {
            Polled::Pending => Ok(()),
            Polled::Ready(Ok(reply)) => self.reply(index, reply.into_body()),
            Polled::Ready(Err(error)) => self.fail_request(index, &error),
            Polled::Panicked => self.fail_request(index, &panicked("the backend or a middleware")),
        }
    }

    /// Sends the reply of the request in a slot, or keeps it there while the client takes none.
    fn reply(&mut self, index: usize, body: Body) -> Result<(), Failure> {
        match body {
            Body::Stream(stream) if !self.socket.is_blocked() => self.step_stream(index, stream),
            Body::None | Body::One(_) | Body::Many(_) if self.has_room() => {
                match self.in_flight.release(index) {
                    Some(slot) if slot.reply.is_some() => discard(slot),
                    _ => {}
                }
                self.write_body(body)
            }
            body => {
                if let Some(slot) = self.in_flight.tag_mut(index) {
                    slot.reply = Some(body);
                    slot.is_held = true;
                    self.held.push_back(index);
                }
                Ok(())
            }
        }
    }

    fn fail_request(&mut self, index: usize, error: &Error) -> Result<(), Failure> {
        let Some(slot) = self.in_flight.tag_mut(index) else {
            return Ok(());
        };
        let reply = error_format::report(self.errors, error, slot.id.as_ref(), slot.route);
        self.reply(index, reply.into_body())
    }

    /// Sends what a streaming reply has ready, as long as the client takes it.
    fn step_stream(&mut self, index: usize, mut stream: ReplyStream) -> Result<(), Failure> {
        let waker = self.in_flight.waker(index).clone();
        for _ in 0..BUDGET {
            if self.socket.is_blocked() {
                return self.reply(index, Body::Stream(stream));
            }
            let polled = catch_unwind(AssertUnwindSafe(|| {
                stream.as_mut().poll_next(&mut Context::from_waker(&waker))
            }));
            match polled {
                Ok(Poll::Pending) => {
                    self.keep(index, stream);
                    return Ok(());
                }
                Ok(Poll::Ready(Some(Ok(message)))) => self.write(message)?,
                Ok(Poll::Ready(Some(Err(error)))) => {
                    discard(stream);
                    return self.fail_request(index, &error);
                }
                Ok(Poll::Ready(None)) => {
                    discard(stream);
                    self.in_flight.release(index);
                    return Ok(());
                }
                Err(_) => {
                    discard(stream);
                    return self.fail_request(index, &panicked("the stream of a reply"));
                }
            }
        }
        // There may be more: the slot has its turn again.
        self.keep(index, stream);
        waker.wake();
        Ok(())
    }

    fn keep(&mut self, index: usize, stream: ReplyStream) {
        if let Some(slot) = self.in_flight.tag_mut(index) {
            slot.reply = Some(Body::Stream(stream));
        }
    }

    /// Answers every request that has no answer yet with an error, as long as the client takes it.
    fn give_up_requests(&mut self) -> Result<(), Failure> {
        for index in 0..self.in_flight.slots() {
            if self.in_flight.tag_mut(index).is_some() && !self.socket.is_blocked() {
                self.in_flight.finish(index);
                self.fail_request(index, &Error::Closing)?;
            }
        }
        while !self.socket.is_blocked()
            && let Some(message) = self.ahead.pop_front()
        {
            self.refuse(message)?;
        }
        self.cancel_requests();
        Ok(())
    }

    /// Answers a message that comes too late.
    fn refuse(&mut self, message: Message) -> Result<(), Failure> {
        let id = match self.parse(message) {
            Ok(Parsed::Request(request)) => request.id().cloned(),
            Ok(Parsed::Invalid(_, id)) => id,
            Ok(Parsed::Dropped) => return Ok(()),
            Err(_) => None,
        };
        let reply = error_format::report(self.errors, &Error::Closing, id.as_ref(), "");
        self.write_all(reply)
    }

    fn cancel_requests(&mut self) {
        if !self.in_flight.is_empty() {
            tracing::debug!(
                connection = %self.connection.id(),
                requests = self.in_flight.len() + self.ahead.len(),
                "requests in flight are cancelled"
            );
        }
        self.in_flight.clear();
        self.held.clear();
        self.ahead.clear();
        self.ahead_bytes = 0;
    }

    // Writing

    fn write_all(&mut self, reply: Reply) -> Result<(), Failure> {
        self.write_body(reply.into_body())
    }

    fn write_body(&mut self, body: Body) -> Result<(), Failure> {
        match body {
            Body::One(message) => self.write(message),
            Body::Many(messages) => messages
                .into_iter()
                .try_for_each(|message| self.write(message)),
            Body::None | Body::Stream(_) => Ok(()),
        }
    }

    fn write(&mut self, message: Message) -> Result<(), Failure> {
        self.unsent += message.len();
        if self.settings.idle_timeout.is_some() {
            self.clock.active = Instant::now();
        }
        self.socket.write(message)
    }

    /// Writes what other tasks have queued.
    fn send_queued(&mut self) -> Result<bool, Failure> {
        let outbox = self.connection.outbox();
        if self.batch.is_empty() {
            match outbox.take(&mut self.batch) {
                Requested::Nothing => {}
                Requested::Close if matches!(self.phase, Phase::Open | Phase::Opening) => {
                    self.close = outbox.requested_close();
                    self.drain();
                }
                Requested::Close => {}
                Requested::Stop => {
                    self.close = outbox.requested_close().or(self.close.take());
                    self.batch.clear();
                    if !matches!(self.phase, Phase::Closing { .. }) {
                        self.give_up_requests()?;
                    }
                    if let Some(close) = &self.close {
                        self.socket.close(close)?;
                    }
                    self.phase = Phase::Flushing {
                        until: Instant::now(),
                    };
                    return Ok(true);
                }
            }
        }
        let (mut count, mut bytes) = (0, 0);
        let mut result = Ok(());
        while !self.socket.is_blocked() && result.is_ok() {
            let Some(message) = self.batch.pop_front() else {
                break;
            };
            count += 1;
            bytes += message.len();
            result = self.write(message);
        }
        self.connection.outbox().release(count, bytes);
        result.map(|()| count > 0)
    }

    // Closing

    fn drain(&mut self) {
        // Nothing is queued from now on: what was queued before goes out.
        if let Some(close) = &self.close {
            self.connection.outbox().close(close.clone());
        }
        self.phase = Phase::Draining {
            until: Instant::now() + self.settings.close_timeout,
        };
    }

    /// Sends the close frame when everything before it has been written.
    fn check_close(&mut self) -> Result<Turn, Failure> {
        let Phase::Draining { .. } = self.phase else {
            return Ok(Turn::Wait);
        };
        if !self.in_flight.is_empty() || !self.ahead.is_empty() || !self.batch.is_empty() {
            return Ok(Turn::Wait);
        }
        self.start_closing()
    }

    fn start_closing(&mut self) -> Result<Turn, Failure> {
        let close = self.close.get_or_insert_with(|| CloseCode::NORMAL.into());
        if close.code == CloseCode::ABNORMAL {
            return Ok(Turn::End);
        }
        self.connection.outbox().shut();
        self.phase = Phase::Closing {
            until: Instant::now() + self.settings.close_timeout,
        };
        self.socket.close(close)?;
        Ok(Turn::Wait)
    }

    /// Decides what an error of the socket means.
    fn failed(&mut self, failure: Failure) -> Poll<()> {
        match failure {
            Failure::Closed => Poll::Ready(()),
            Failure::Broken(error) => {
                tracing::debug!(connection = %self.connection.id(), %error, "connection broken");
                // After its own close frame the server knows better how this ended.
                if !matches!(self.phase, Phase::Closing { .. } | Phase::Flushing { .. }) {
                    self.close = Some(CloseCode::ABNORMAL.into());
                }
                Poll::Ready(())
            }
            Failure::Rule(close) => {
                if let Phase::Closing { .. } | Phase::Flushing { .. } = self.phase {
                    return Poll::Ready(());
                }
                tracing::debug!(connection = %self.connection.id(), %close, "client broke a rule");
                self.cancel_requests();
                let sent = self.socket.close(&close);
                self.close = Some(close);
                self.lingers = true;
                self.phase = Phase::Flushing {
                    until: Instant::now() + self.settings.close_timeout,
                };
                match sent {
                    Ok(()) => Poll::Pending,
                    Err(_) => Poll::Ready(()),
                }
            }
        }
    }

    // Reading

    /// Reads messages for as long as nothing else can have come up; returns how many.
    fn read_some(&mut self, cx: &Context<'_>, budget: usize) -> Result<usize, Failure> {
        for count in 0..budget.min(READ_AT_ONCE) {
            let goes_on = count == 0 || self.phase == Phase::Open && !self.socket.is_blocked();
            if !goes_on || !self.read(cx)? {
                return Ok(count);
            }
        }
        Ok(budget.min(READ_AT_ONCE))
    }

    /// Reads one message, or takes one that was read before. `false` when there is none for now.
    fn read(&mut self, cx: &Context<'_>) -> Result<bool, Failure> {
        if self.phase == Phase::Opening {
            return Ok(false);
        }
        if self.in_flight.has_room()
            && let Some(message) = self.ahead.pop_front()
        {
            self.ahead_bytes -= message.len();
            self.start(message, cx)?;
            return Ok(true);
        }
        let full = self.ahead.len() >= READ_AHEAD
            || self.ahead_bytes >= self.settings.limits.max_message_size;
        if full {
            return Ok(false);
        }
        match self.socket.poll_read() {
            Poll::Pending => return Ok(false),
            Poll::Ready(incoming) => match incoming? {
                Incoming::Message(message) => self.receive(message, cx)?,
                Incoming::Ping | Incoming::Pong => self.count_control_frame()?,
                Incoming::Close(close) => {
                    self.cancel_requests();
                    self.connection.outbox().shut();
                    if !matches!(self.phase, Phase::Closing { .. }) {
                        self.close = Some(close);
                    }
                    self.phase = Phase::Flushing {
                        until: Instant::now() + self.settings.close_timeout,
                    };
                }
            },
        }
        Ok(true)
    }

    fn count_control_frame(&mut self) -> Result<(), Failure> {
        let (since, count) = &mut self.clock.control;
        *count += 1;
        if *count > CONTROL_FRAMES {
            let now = Instant::now();
            if now - *since < Duration::from_secs(1) {
                let close = Close::new(CloseCode::POLICY, "too many pings");
                return Err(Failure::Rule(close));
            }
            (*since, *count) = (now, 1);
        }
        Ok(())
    }

    fn receive(&mut self, message: Message, cx: &Context<'_>) -> Result<(), Failure> {
        if self.settings.idle_timeout.is_some() {
            self.clock.active = Instant::now();
        }
        match self.phase {
            Phase::Open if self.ahead.is_empty() && self.in_flight.has_room() => {
                self.start(message, cx)
            }
            Phase::Open => {
                self.ahead_bytes += message.len();
                self.ahead.push_back(message);
                Ok(())
            }
            Phase::Draining { .. } => self.refuse(message),
            // After the close frame nothing counts any more (RFC 6455, section 5.5.1).
            Phase::Opening | Phase::Closing { .. } | Phase::Flushing { .. } => Ok(()),
        }
    }

    // Time

    /// When something is to be done although nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let sending = self
            .blocked
            .as_ref()
            .map(|blocked| blocked.since + self.settings.send_timeout);
        let phase = match self.phase {
            Phase::Opening => None,
            Phase::Open => {
                let expires = self.connection.outbox().expires();
                return [sending, self.ping_at(), self.idle_at(), expires]
                    .into_iter()
                    .flatten()
                    .min();
            }
            Phase::Draining { until } | Phase::Closing { until } | Phase::Flushing { until } => {
                Some(until)
            }
        };
        [sending, phase].into_iter().flatten().min()
    }

    fn ping_at(&self) -> Option<Instant> {
        let interval = self.settings.ping?;
        Some(match self.clock.pinged {
            None => self.clock.heard + interval,
            Some(pinged) => pinged + self.settings.pong_timeout.unwrap_or(interval),
        })
    }

    fn idle_at(&self) -> Option<Instant> {
        Some(self.clock.active + self.settings.idle_timeout?)
    }

    /// Ready when the deadline has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A timer that fires too early costs one wake-up; moving it for every message would cost more.
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Does what the deadline was for.
    fn expired(&mut self) -> Poll<()> {
        let now = Instant::now();
        if let Some(Blocked { since, .. }) = self.blocked
            && now >= since + self.settings.send_timeout
        {
            tracing::debug!(connection = %self.connection.id(), "client reads too slowly");
            let close = Close::new(CloseCode::POLICY, "slow consumer");
            // It will hardly get through, but it may.
            let _ = self.socket.close(&close);
            self.close = Some(close);
            return Poll::Ready(());
        }
        match self.phase {
            Phase::Draining { until } if now >= until => {
                self.batch.clear();
                match self.give_up_requests().and_then(|()| self.start_closing()) {
                    Ok(Turn::End) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                }
            }
            Phase::Closing { until } | Phase::Flushing { until } if now >= until => {
                return Poll::Ready(());
            }
            Phase::Open => return self.watch(now),
            _ => {}
        }
        Poll::Pending
    }

    /// Heartbeat and idle timeout. Work in flight counts as activity.
    fn watch(&mut self, now: Instant) -> Poll<()> {
        if !self.in_flight.is_empty() {
            (self.clock.heard, self.clock.active) = (now, now);
            self.clock.pinged = None;
        }
        let expires = self.connection.outbox().expires();
        if expires.is_some_and(|at| now >= at) {
            self.close = Some(Close::new(CloseCode::EXPIRED, "credentials have expired"));
            self.drain();
        } else if self.idle_at().is_some_and(|at| now >= at) {
            self.close = Some(Close::new(CloseCode::GOING_AWAY, "idle"));
            self.drain();
        } else if self.ping_at().is_some_and(|at| now >= at) {
            if self.clock.pinged.is_some() {
                tracing::debug!(connection = %self.connection.id(), "ping not answered");
                self.close = Some(CloseCode::ABNORMAL.into());
                return Poll::Ready(());
            }
            self.clock.pinged = Some(now);
            if self.socket.write_ping().is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

/// What became of a message.
enum Started {
    /// It is a request, and in this slot.
    Slot(usize),
    Dropped,
    Invalid(Error, Option<RequestId>),
}

enum Turn {
    Wait,
    Yield,
    End,
}

/// Drops what is the user's: its destructor may panic.
pub(super) fn discard<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

fn panicked(who: &str) -> Error {
    Error::internal(format!("{who} panicked"))
}
