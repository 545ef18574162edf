//! The relay between the requests of one client and its upstream connection: it decides who may write, and passes
//! messages in both directions.

mod ends;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use tokio::time::Instant;

use self::ends::{Ends, Upstream};
use super::{
    correlate::Id,
    settings::Config,
    stream::Io,
    unreachable::{DialError, Unreachable},
};
use crate::{
    Close, CloseCode, Connection, Message,
    backend::dial_memory::DialMemory,
    connection::{
        socket::{Failure, Socket},
        work,
    },
    sync::Unpoisoned,
};

/// What a client's requests and its upstream connection share.
///
/// While there is room, a request writes directly into the upstream's buffer; the upstream's companion task sends what
/// has been buffered. A request is queued only if the buffer is full or there is no connection yet.
pub(super) struct Relay {
    pub(super) config: Arc<Config>,
    /// Remembers how the upstream refused this client.
    dials: DialMemory<Arc<DialError>>,
    ends: Mutex<Ends>,
}

/// What has become of a message that a request has offered.
pub(super) enum Offered {
    Written,
    /// It waits under this ticket.
    Queued(u64),
    /// The same, and the upstream must be dialled for it.
    First(u64),
}

impl Relay {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self {
            dials: DialMemory::new(config.dials.longest()),
            config,
            ends: Mutex::new(Ends::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        // While the lock is held, the only user code that runs is a custom dialler's stream and interceptors of the
        // client's connection. If one of them panics, the upstream is lost.
        self.ends.lock().unpoisoned()
    }
}

/// For requests.
impl Relay {
    /// Begins to connect, unless the upstream is connected, connecting, or was unreachable a moment ago. Returns
    /// whether a companion must be started.
    pub(super) fn begin(&self, connection: &Connection) -> Result<bool, Unreachable> {
        let mut ends = self.lock();
        match mem::replace(&mut ends.upstream, Upstream::Connecting) {
            Upstream::Idle => {
                let remembered = self.config.dials.remembered();
                if let Err(error) = remembered.map_or_else(|| self.dials.admit(), Err) {
                    drop(ends);
                    let why = Unreachable::Dial(error);
                    self.refuse(connection, why.clone());
                    return Err(why);
                }
            }
            Upstream::Ready(socket) => ends.upstream = Upstream::Open(socket),
            upstream => {
                ends.upstream = upstream;
                return Ok(false);
            }
        }
        Ok(true)
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

    /// Writes a message, or queues it.
    pub(super) fn offer(&self, message: Message, id: Option<&Id>) -> Result<Offered, Unreachable> {
        let mut guard = self.lock();
        let ends = &mut *guard;
        let mut is_first = false;
        match &mut ends.upstream {
            Upstream::Open(socket)
                if ends.waiting.is_empty() && !socket.is_blocked() && socket.is_open() =>
            {
                work::spend(message.len());
                let written = socket.write(&message);
                ends.wake_companion();
                if let Some(id) = id {
                    ends.exchanges.sent(id);
                }
                return match written {
                    Ok(()) => Ok(Offered::Written),
                    Err(_) => Err(Unreachable::Cut),
                };
            }
            Upstream::Open(_) => {}
            Upstream::Idle | Upstream::Ready(_) => is_first = true,
            // The companion enforces how long messages may wait.
            Upstream::Connecting => ends.wake_companion(),
            Upstream::Ended(why) => return Err(why.clone()),
        }
        let ticket = ends.waiting.push(message, id.copied());
        Ok(match is_first {
            true => Offered::First(ticket),
            false => Offered::Queued(ticket),
        })
    }

    /// Ready once a queued message is written or has failed.
    pub(super) fn poll_place(
        &self,
        ticket: u64,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Unreachable>> {
        let mut ends = self.lock();
        if let Some(place) = ends.waiting.place(ticket) {
            place.request.clone_from(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(match ends.waiting.take_failure(ticket) {
            Some(why) => Err(why),
            None => Ok(()),
        })
    }

    /// Removes what is left of a queued message whose request has ended.
    pub(super) fn forget(&self, ticket: u64) {
        self.lock().waiting.forget(ticket);
    }

    /// Opens an exchange; `false` if one with the same id is open.
    pub(super) fn open_exchange(&self, id: &Id) -> bool {
        self.lock().exchanges.open(id)
    }

    pub(super) fn poll_answer(
        &self,
        id: &Id,
        cx: &Context<'_>,
    ) -> Poll<Result<Message, Unreachable>> {
        self.lock().exchanges.poll(id, cx)
    }

    pub(super) fn close_exchange(&self, id: &Id) {
        let mut ends = self.lock();
        ends.exchanges.close(id);
        ends.read_again();
    }

    /// Connects before the companion exists; the companion will serve this connection.
    pub(super) async fn prepare(self: Arc<Self>, client: Connection) -> Result<(), Arc<DialError>> {
        let socket = self.config.dial(&client).await?;
        let mut ends = self.lock();
        if let Upstream::Idle = ends.upstream {
            ends.upstream = Upstream::Ready(socket);
        }
        Ok(())
    }
}

/// For the companion.
impl Relay {
    /// Whether the upstream is connected.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().upstream, Upstream::Open(_))
    }

    /// Records a new upstream connection.
    pub(super) fn open(&self, socket: Socket<Io>) {
        self.dials.reached();
        self.lock().upstream = Upstream::Open(socket);
    }

    /// Records that the connection is lost and a new one is being made.
    pub(super) fn reconnect(&self, why: Unreachable) {
        let mut ends = self.lock();
        ends.upstream = Upstream::Connecting;
        ends.exchanges.lose(&why.after_sending());
    }

    /// Records a failed dial.
    pub(super) fn failed(&self, error: &Arc<DialError>) {
        self.dials.failed(Instant::now(), Arc::clone(error));
    }

    /// Fails all waiting messages because the upstream could not be reached; a later message tries again.
    fn fail(&self, why: Unreachable) {
        let mut ends = self.lock();
        ends.upstream = Upstream::Idle;
        ends.waiting.fail_while(|_| true, &why);
    }

    /// Stops forwarding. Returns the upstream connection if it is open. The first reason stays.
    pub(super) fn end(&self, why: Unreachable) -> Option<Socket<Io>> {
        let mut ends = self.lock();
        if let Upstream::Ended(_) = ends.upstream {
            return None;
        }
        ends.waiting.fail_while(|_| true, &why);
        ends.exchanges.lose(&why.clone().after_sending());
        match mem::replace(&mut ends.upstream, Upstream::Ended(why)) {
            Upstream::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Fails the messages that have waited too long for a connection. Returns when the next one will have.
    pub(super) fn expire(&self, cx: &Context<'_>) -> Option<Instant> {
        let limit = self.config.connect_timeout;
        let mut ends = self.lock();
        ends.register(cx);
        let now = Instant::now();
        ends.waiting.fail_while(
            |place| now >= place.since + limit,
            &Unreachable::TimedOut(limit),
        );
        ends.waiting.first().map(|place| place.since + limit)
    }

    /// Sends the queued messages.
    pub(super) fn poll_write(&self, cx: &Context<'_>) -> Result<(), Failure> {
        let mut ends = self.lock();
        ends.register(cx);
        ends.write(cx).map(drop)
    }

    /// Sends the queued messages, and delivers the upstream's messages to the client.
    pub(super) fn poll(&self, cx: &Context<'_>, client: &Connection) -> (Poll<Event>, Progress) {
        let mut ends = self.lock();
        ends.register(cx);
        let mut event = Poll::Pending;
        let written = ends.write(cx).and_then(|_| {
            event = ends.read(cx, client, self.config.correlate.as_ref())?;
            ends.write(cx) // pongs, and messages that fit now
        });
        let blocked_at = match written {
            Ok(blocked_at) => blocked_at,
            Err(failure) => {
                // What was read before the failure comes first.
                if event.is_pending() {
                    event = Poll::Ready(Event::Failed(failure));
                }
                None
            }
        };
        let progress = Progress {
            blocked_at,
            received: ends.received(),
            is_read: ends.is_read(),
        };
        (event, progress)
    }

    /// Starts the closing handshake with an upstream. If requests wait for answers it does nothing and returns `false`,
    /// unless `in_any_case` is set. Later messages wait for the next connection.
    pub(super) fn retire(&self, in_any_case: bool) -> Result<bool, Failure> {
        let mut ends = self.lock();
        if !in_any_case && ends.exchanges.any_sent() {
            return Ok(false);
        }
        if let Upstream::Open(socket) = &mut ends.upstream {
            socket.close(&Close::new(
                CloseCode::GOING_AWAY,
                "the connection reached its maximum age",
            ))?;
        }
        Ok(true)
    }

    /// Pings the upstream.
    pub(super) fn ping(&self) -> Result<(), Failure> {
        match &mut self.lock().upstream {
            Upstream::Open(socket) => socket.write_ping(),
            _ => Ok(()),
        }
    }
}

/// The progress of an upstream connection.
pub(super) struct Progress {
    /// How many bytes the upstream has taken, if it takes no more now.
    pub(super) blocked_at: Option<u64>,
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

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}
