//! What the task of a connection polls: it reads, dispatches and writes.

mod ahead;
mod cancelling;
mod clock;
mod closing;
mod flow;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod leaving;
mod life;
mod misuse;
mod parting;
mod reading;
mod replying;
mod requests;
mod starting;
mod streaming;
mod time;
mod wire;
mod writing;

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};

use self::{
    life::{Life, Phase},
    requests::Requests,
    wire::Wire,
};
use crate::{
    Close, Connection, ErrorFormat, Message, Reply, Request, Result,
    channel::Settings,
    connection::{
        companions::Companions,
        few::Few,
        outbox::Requested,
        socket::{Failure, HangUp, Socket},
        work,
    },
    protocol::Inbound,
    request,
    time::Moment,
};

/// What the driver needs of the declaration of its channel.
pub(crate) trait Declaration: Clone {
    /// Makes a request of a message. Only a method, and no closure, can be inlined wherever it is called.
    fn parse(&self, message: Message, connection: &Connection) -> Inbound;

    fn settings(&self) -> &Settings;

    fn errors(&self) -> &ErrorFormat;
}

/// Serves one connection: reads, dispatches and writes.
pub(crate) struct Driver<'a, T, F, P, C> {
    wire: Wire<T>,
    connection: &'a Connection,
    declared: P,
    /// Runs a request through the declared chain.
    call: C,
    requests: Requests<F>,
    companions: Companions,
    /// Messages taken from the outbox but not written yet.
    batch: Few<Message>,
    life: Life,
    /// The last turn ended before the work did.
    goes_on: bool,
    /// In this turn, there was nothing left to read. The task is woken when there is.
    is_dry: bool,
}

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    pub(crate) fn new(socket: Socket<T>, connection: &'a Connection, declared: P, call: C) -> Self {
        let settings = declared.settings();
        let now = Moment::now();
        Self {
            wire: Wire::new(socket, now, settings),
            requests: Requests::new(settings.concurrency, connection),
            life: Life::new(now, settings.open_timeout),
            connection,
            declared,
            call,
            companions: Companions::new(),
            batch: Few::new(),
            goes_on: false,
            is_dry: false,
        }
    }

    pub(crate) fn connection(&self) -> &'a Connection {
        self.connection
    }

    pub(crate) fn close_timeout(&self) -> Duration {
        self.declared.settings().close_timeout
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
        self.wire.socket.register(cx.waker());
        self.companions.register(cx.waker());
        self.connection.outbox().register(cx.waker());
        loop {
            let turn = self.turn(cx);
            let traffic = self.connection.traffic();
            traffic.publish(
                &mut self.wire.tally,
                self.wire.socket.received(),
                self.wire.socket.written(),
            );
            #[cfg(feature = "console")]
            traffic.publish_in_flight(self.requests.len());
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
        self.is_dry = false;
        let received = self.wire.socket.received();
        loop {
            if self.wire.is_blocked() {
                let _ = self.flush()?;
            }
            if self.life.phase() == Phase::Flushing {
                return match self.flush()? {
                    Poll::Ready(()) => Ok(Turn::End),
                    // Requests that continue after the client need not wait for the flush.
                    Poll::Pending if !self.requests.is_empty() => {
                        self.life.leave_unsent();
                        Ok(Turn::End)
                    }
                    Poll::Pending => Ok(Turn::Wait),
                };
            }
            if self.requests.unfinished.is_some() {
                if !self.wire_has_room() {
                    self.requests.hold_unfinished();
                } else if !self.finish_many()? {
                    self.read_meanwhile()?;
                    self.notice(received);
                    let _ = self.flush()?;
                    return Ok(Turn::Yield);
                }
            }
            let mut progress = self.poll_woken()?;
            if self.wire.is_blocked() {
                match self.do_urgent()? {
                    Requested::Stop => return Ok(Turn::End),
                    done => progress |= done == Requested::Cancel,
                }
            } else if self.requests.unfinished.is_none() {
                match self.exchange()? {
                    Some(done) => progress |= done,
                    None => return Ok(Turn::End),
                }
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
            self.notice(received);
            let _ = self.flush()?;
            return Ok(if progress { Turn::Yield } else { Turn::Wait });
        }
    }

    /// Sends what waits for the client, and reads. Returns whether there was anything; `None` at the end.
    #[inline(always)]
    fn exchange(&mut self) -> Result<Option<bool>, Failure> {
        let mut progress = self.send_held()?;
        if self.requests.unfinished.is_some() {
            return Ok(Some(progress));
        }
        let sent = self.send_queued()?;
        // If something was sent, more may be queued.
        if !sent && let Turn::End = self.check_close()? {
            return Ok(None);
        }
        progress |= sent;
        progress |= self.read_some()?;
        Ok(Some(progress))
    }
}

enum Turn {
    Wait,
    Yield,
    End,
}
