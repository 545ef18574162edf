//! The link between the requests of one client and its upstream connection: it decides who may write and in which order
//! requests wait.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{
    Config,
    correlate::{Exchanges, Id, id_of},
    stream::Io,
    unreachable::{DialError, Unreachable},
    upstream,
};
use crate::{
    Close, CloseCode, Connection, Error, Message, Reply, Result, TrySendError,
    backend::dial_memory::DialMemory,
    connection::{
        socket::{Failure, Incoming, Socket},
        work,
    },
    parser::IdAt,
    sync::Unpoisoned,
};

/// The state that a client's requests and its upstream connection share.
///
/// While there is room, a request writes directly into the upstream's buffer; the upstream's companion task sends what
/// has been buffered. A request is queued only if the buffer is full or there is no connection yet.
pub(super) struct Link {
    pub(super) config: Arc<Config>,
    /// Remembers how the upstream refused this client.
    dials: DialMemory<Arc<DialError>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// In the order of their tickets.
    queue: VecDeque<Place>,
    /// Failures that requests have not picked up yet. A request that is neither queued nor here has been written.
    failed: Vec<(u64, Unreachable)>,
    exchanges: Exchanges,
    next_ticket: u64,
    /// Wakes the companion, which serves the upstream connection.
    companion: Waker,
    /// Whether the companion has already been woken.
    is_woken: bool,
    /// Whether the companion has stopped reading until requests pick up their answers.
    waits_for_requests: bool,
}

enum Phase {
    /// The next message dials.
    Idle,
    Connecting,
    /// Dialled before the client's handshake was accepted; no companion serves it yet.
    Ready(Socket<Io>),
    Open(Socket<Io>),
    /// The client is being closed.
    Ended(Unreachable),
}

/// A request's place in the queue.
struct Place {
    ticket: u64,
    since: Instant,
    message: Message,
    /// Set if the request waits for an answer.
    id: Option<Id>,
    request: Waker,
}

impl Link {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self {
            dials: DialMemory::new(config.dials.longest()),
            config,
            state: Mutex::new(State {
                phase: Phase::Idle,
                queue: VecDeque::new(),
                failed: Vec::new(),
                exchanges: Exchanges::default(),
                next_ticket: 0,
                companion: Waker::noop().clone(),
                is_woken: false,
                waits_for_requests: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // While the lock is held, the only user code that runs is a custom dialler's stream and interceptors of the
        // client's connection. If one of them panics, the upstream is lost.
        self.state.lock().unpoisoned()
    }

    // For requests

    /// Connects, unless the upstream is connected, connecting, or was unreachable a moment ago.
    pub(super) fn start(self: &Arc<Self>, connection: &Connection) -> Result<(), Unreachable> {
        let mut state = self.lock();
        match mem::replace(&mut state.phase, Phase::Connecting) {
            Phase::Idle => {
                let remembered = self.config.dials.remembered();
                if let Err(error) = remembered.map_or_else(|| self.dials.admit(), Err) {
                    drop(state);
                    let why = Unreachable::Dial(error);
                    self.refuse(connection, why.clone());
                    return Err(why);
                }
            }
            Phase::Ready(socket) => state.phase = Phase::Open(socket),
            phase => {
                state.phase = phase;
                return Ok(());
            }
        }
        drop(state);
        let serving = upstream::run(Arc::clone(self), connection.clone());
        if !connection.accompany(Box::pin(serving)) {
            self.end(Unreachable::Ended);
        }
        Ok(())
    }

    /// Fails the waiting messages because the upstream could not be reached, and closes the client if it is configured
    /// so. Returns `false` if the client is closed: the next message does not try again.
    pub(super) fn refuse(&self, connection: &Connection, why: Unreachable) -> bool {
        if !self.config.close_on_failed_dial {
            self.fail(why);
            return true;
        }
        let reason = why.clone().verdict().client_message().into_owned();
        connection.close(Close::new(CloseCode::BAD_GATEWAY, reason));
        self.end(why);
        false
    }

    /// Forwards a message, and waits for the answer if one is expected. The first poll decides the position of the
    /// message in the order.
    pub(super) async fn forward(
        self: &Arc<Self>,
        message: Message,
        connection: &Connection,
    ) -> Result<Reply> {
        let exchange = match &self.config.correlate {
            Some(at) => self.open_exchange(id_of(&message, at))?,
            None => None,
        };
        let id = exchange.as_ref().map(|exchange| &exchange.id);
        let offered = self.offer(message, id, connection);
        if let Some(ticket) = offered.map_err(Unreachable::verdict)? {
            let _place = Leave { link: self, ticket };
            let placed = poll_fn(|cx| self.poll_place(ticket, cx)).await;
            placed.map_err(Unreachable::verdict)?;
        }
        let Some(id) = id else {
            return Ok(Reply::none());
        };
        let answer = poll_fn(|cx| self.lock().exchanges.poll(id, cx)).await;
        answer.map(Reply::message).map_err(Unreachable::verdict)
    }

    fn open_exchange(&self, id: Option<Id>) -> Result<Option<OpenExchange<'_>>> {
        let Some(id) = id else {
            return Ok(None);
        };
        if self.lock().exchanges.open(&id) {
            Ok(Some(OpenExchange { link: self, id }))
        } else {
            Err(Error::bad_request(
                "a request with this id is in flight already",
            ))
        }
    }

    /// Writes a message, or queues it and returns its ticket.
    fn offer(
        self: &Arc<Self>,
        message: Message,
        id: Option<&Id>,
        connection: &Connection,
    ) -> Result<Option<u64>, Unreachable> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut must_start = false;
        match &mut state.phase {
            Phase::Open(socket)
                if state.queue.is_empty() && !socket.is_blocked() && socket.is_open() =>
            {
                work::spend(message.len());
                let written = socket.write(&message);
                state.wake_companion();
                if let Some(id) = id {
                    state.exchanges.sent(id);
                }
                return match written {
                    Ok(()) => Ok(None),
                    Err(_) => Err(Unreachable::Cut),
                };
            }
            Phase::Open(_) => {}
            Phase::Idle | Phase::Ready(_) => must_start = true,
            // The companion enforces how long messages may wait.
            Phase::Connecting => state.wake_companion(),
            Phase::Ended(why) => return Err(why.clone()),
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(Place {
            ticket,
            since: Instant::now(),
            message,
            id: id.cloned(),
            request: Waker::noop().clone(),
        });
        drop(guard);
        if must_start && let Err(why) = self.start(connection) {
            self.lock().take_failure(ticket);
            return Err(why);
        }
        Ok(Some(ticket))
    }

    fn poll_place(&self, ticket: u64, cx: &Context<'_>) -> Poll<Result<(), Unreachable>> {
        let mut state = self.lock();
        if let Some(index) = state.find(ticket) {
            state.queue[index].request.clone_from(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(match state.take_failure(ticket) {
            Some(why) => Err(why),
            None => Ok(()),
        })
    }

    /// Connects before the companion exists; the companion will serve this connection.
    pub(super) async fn prepare(self: Arc<Self>, client: Connection) -> Result<(), Arc<DialError>> {
        let socket = self.config.dial(&client).await?;
        let mut state = self.lock();
        if let Phase::Idle = state.phase {
            state.phase = Phase::Ready(socket);
        }
        Ok(())
    }

    // For the companion

    /// Whether the upstream is connected.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().phase, Phase::Open(_))
    }

    /// Records a new upstream connection.
    pub(super) fn open(&self, socket: Socket<Io>) {
        self.dials.reached();
        self.lock().phase = Phase::Open(socket);
    }

    /// Records that the connection is lost and a new one is being made.
    pub(super) fn reconnect(&self, why: Unreachable) {
        let mut state = self.lock();
        state.phase = Phase::Connecting;
        state.exchanges.lose(&why.after_sending());
    }

    /// Records a failed dial.
    pub(super) fn failed(&self, error: &Arc<DialError>) {
        self.dials.failed(Instant::now(), Arc::clone(error));
    }

    /// Fails all waiting messages because the upstream could not be reached; a later message tries again.
    fn fail(&self, why: Unreachable) {
        let mut state = self.lock();
        state.phase = Phase::Idle;
        state.fail_while(|_| true, &why);
    }

    /// Stops forwarding. Returns the upstream connection if it is open. The first reason stays.
    pub(super) fn end(&self, why: Unreachable) -> Option<Socket<Io>> {
        let mut state = self.lock();
        if let Phase::Ended(_) = state.phase {
            return None;
        }
        state.fail_while(|_| true, &why);
        state.exchanges.lose(&why.clone().after_sending());
        match mem::replace(&mut state.phase, Phase::Ended(why)) {
            Phase::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Fails the messages that have waited too long for a connection. Returns when the next one will have.
    pub(super) fn expire(&self, cx: &Context<'_>) -> Option<Instant> {
        let limit = self.config.connect_timeout;
        let mut state = self.lock();
        state.register(cx);
        let now = Instant::now();
        state.fail_while(
            |place| now >= place.since + limit,
            &Unreachable::TimedOut(limit),
        );
        state.queue.front().map(|place| place.since + limit)
    }

    /// Sends the queued messages.
    pub(super) fn poll_write(&self, cx: &Context<'_>) -> Result<Blocked, Failure> {
        let mut state = self.lock();
        state.register(cx);
        state.write(cx)
    }

    /// Sends the queued messages, and delivers the upstream's messages to the client.
    pub(super) fn poll(&self, cx: &Context<'_>, client: &Connection) -> (Poll<Event>, Progress) {
        let mut state = self.lock();
        state.register(cx);
        let mut event = Poll::Pending;
        let blocked = state.write(cx).and_then(|_| {
            event = state.read(cx, client, self.config.correlate.as_ref())?;
            state.write(cx) // pongs, and messages that fit now
        });
        let blocked = match blocked {
            Ok(blocked) => blocked,
            Err(failure) => {
                // What was read before the failure comes first.
                if event.is_pending() {
                    event = Poll::Ready(Event::Failed(failure));
                }
                Blocked::No
            }
        };
        let progress = Progress {
            blocked,
            received: state.received(),
            is_read: !state.waits_for_requests,
        };
        (event, progress)
    }

    /// Starts the closing handshake with an upstream. If requests wait for answers it does nothing and returns `false`,
    /// unless `in_any_case` is set. Later messages wait for the next connection.
    pub(super) fn retire(&self, in_any_case: bool) -> Result<bool, Failure> {
        let mut state = self.lock();
        if !in_any_case && state.exchanges.any_sent() {
            return Ok(false);
        }
        if let Phase::Open(socket) = &mut state.phase {
            socket.close(&Close::new(
                CloseCode::GOING_AWAY,
                "connected for long enough",
            ))?;
        }
        Ok(true)
    }

    /// Pings the upstream.
    pub(super) fn ping(&self) -> Result<(), Failure> {
        match &mut self.lock().phase {
            Phase::Open(socket) => socket.write_ping(),
            _ => Ok(()),
        }
    }
}

/// The progress of an upstream connection.
pub(super) struct Progress {
    pub(super) blocked: Blocked,
    /// The bytes that the upstream has sent so far.
    pub(super) received: u64,
    /// Whether the upstream is being read.
    pub(super) is_read: bool,
}

/// What the companion has to handle.
pub(super) enum Event {
    /// The client's send queue is full. The message waits; interceptors have already processed it.
    Full(Message),
    /// Replies that the client has not taken yet fill its limit.
    Held,
    Closed(Close),
    Failed(Failure),
}

/// Whether the upstream is blocked, and how many bytes it had taken by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    No,
    At(u64),
}

impl State {
    fn register(&mut self, cx: &Context<'_>) {
        self.is_woken = false;
        self.companion.clone_from(cx.waker());
        if let Phase::Open(socket) = &mut self.phase {
            socket.register(cx.waker());
        }
    }

    fn received(&self) -> u64 {
        match &self.phase {
            Phase::Open(socket) => socket.received(),
            _ => 0,
        }
    }

    fn wake_companion(&mut self) {
        if !mem::replace(&mut self.is_woken, true) {
            self.companion.wake_by_ref();
        }
    }

    fn find(&self, ticket: u64) -> Option<usize> {
        self.queue
            .binary_search_by_key(&ticket, |place| place.ticket)
            .ok()
    }

    fn take_failure(&mut self, ticket: u64) -> Option<Unreachable> {
        let index = self.failed.iter().position(|(other, _)| *other == ticket)?;
        Some(self.failed.swap_remove(index).1)
    }

    /// Fails queued messages from the front while the condition holds.
    fn fail_while(&mut self, which: impl Fn(&Place) -> bool, why: &Unreachable) {
        while self.queue.front().is_some_and(&which) {
            if let Some(place) = self.queue.pop_front() {
                self.failed.push((place.ticket, why.clone()));
                place.request.wake();
            }
        }
    }

    /// Writes the queue and flushes, as far as the upstream takes it.
    fn write(&mut self, cx: &Context<'_>) -> Result<Blocked, Failure> {
        let Phase::Open(socket) = &mut self.phase else {
            return Ok(Blocked::No);
        };
        let mut has_written = false;
        loop {
            if let Poll::Ready(result) = socket.poll_flush() {
                result?;
            } else {
                return Ok(Blocked::At(socket.written()));
            }
            // Messages after a close wait for the next connection.
            if self.queue.is_empty() || !socket.is_open() {
                return Ok(Blocked::No);
            }
            if mem::replace(&mut has_written, true) && work::is_over() {
                work::come_back(cx.waker());
                return Ok(Blocked::No);
            }
            let mut first = true;
            while !socket.is_blocked() && (mem::take(&mut first) || !work::is_over()) {
                let Some(place) = self.queue.pop_front() else {
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
    fn read(
        &mut self,
        cx: &Context<'_>,
        client: &Connection,
        correlate: Option<&IdAt>,
    ) -> Result<Poll<Event>, Failure> {
        let Phase::Open(socket) = &mut self.phase else {
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

/// Leaves the queue when the request ends. The message of a request that was given up is not sent.
struct Leave<'a> {
    link: &'a Link,
    ticket: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        if let Some(index) = state.find(self.ticket) {
            state.queue.remove(index);
        } else {
            state.take_failure(self.ticket);
        }
    }
}

/// Closes the exchange when its request ends.
struct OpenExchange<'a> {
    link: &'a Link,
    id: Id,
}

impl Drop for OpenExchange<'_> {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        state.exchanges.close(&self.id);
        if mem::take(&mut state.waits_for_requests) {
            state.wake_companion();
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
