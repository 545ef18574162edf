//! Timers: heartbeats and deadlines.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, Phase, Turn, clock::Verdict};
use crate::{
    Close, CloseCode, Connection, Reply, Request, Result,
    connection::{few::Few, socket::HangUp},
    log::limited,
    time::Moment,
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// The next time at which a timer is due.
    fn deadline(&self) -> Option<Moment> {
        let clock = &self.wire.clock;
        let sending = self.wire.flow.due(self.declared.settings().send_timeout);
        let times = match self.life.phase() {
            Phase::Open => {
                let expires = self.connection.outbox().expires();
                let look = self.is_full().then(|| clock.look_at());
                [
                    sending,
                    clock.streams,
                    clock.due(self.declared.settings(), expires),
                    look,
                ]
            }
            _ => [sending, clock.streams, self.life.deadline(), None],
        };
        times.into_iter().flatten().min()
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.deadline() {
            Some(deadline) => self.wire.clock.poll(cx, deadline),
            None => Poll::Pending,
        }
    }

    /// Does what is due.
    pub(super) fn expired(&mut self) -> Poll<()> {
        let now = Moment::now();
        let sending = self.wire.flow.due(self.declared.settings().send_timeout);
        if sending.is_some_and(|at| now >= at) {
            tracing::debug!(connection = %self.connection.id(), "client reads too slowly");
            let close = Close::new(CloseCode::POLICY, "slow consumer");
            // It will rarely get through, but it may.
            let _ = self.wire.socket.close(&close);
            self.life.decide(close);
            return Poll::Ready(());
        }
        if self.wire.clock.streams.is_some_and(|at| now >= at)
            && let Err(failure) = self.end_silent_streams(now)
        {
            return self.failed(failure);
        }
        if self.life.phase() == Phase::Open {
            return self.watch(now);
        }
        if !self.life.is_late(now) {
            return Poll::Pending;
        }
        match self.life.phase() {
            Phase::Opening => {
                limited!(WARN, connection = %self.connection.id(), "on_connect takes too long");
                let close = Close::new(CloseCode::INTERNAL, "not admitted in time");
                self.life.decide(close);
                self.drain();
            }
            Phase::Draining => {
                self.batch = Few::new();
                match self.give_up_requests().and_then(|()| self.start_closing()) {
                    Ok(Turn::End) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                }
            }
            Phase::Closing | Phase::Flushing => return Poll::Ready(()),
            Phase::Open => {}
        }
        Poll::Pending
    }

    /// Watches over an open connection. Requests in flight count as activity, but not as a sign of life.
    fn watch(&mut self, now: Moment) -> Poll<()> {
        let is_full = self.is_full();
        let wire = &mut self.wire;
        if !self.requests.in_flight.is_empty() {
            wire.clock.work(now);
        }
        // A pong may be among the unread data.
        if is_full || wire.is_blocked() {
            wire.clock.hear(now);
        }
        if is_full && wire.socket.has_hung_up() {
            self.hung_up();
            return Poll::Ready(());
        }
        let expires = self.connection.outbox().expires();
        match wire.clock.judge(now, self.declared.settings(), expires) {
            Verdict::Nothing => {}
            Verdict::Ping => {
                self.requests.give_back();
                self.batch.give_back();
                self.connection.outbox().give_back();
                self.connection.held().give_back();
                if wire.socket.write_ping().is_err() {
                    return Poll::Ready(());
                }
            }
            Verdict::Close(close) => {
                self.life.decide(close);
                self.drain();
            }
            Verdict::Lost => {
                tracing::debug!(connection = %self.connection.id(), "ping not answered");
                self.life.decide(CloseCode::ABNORMAL.into());
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Any byte since so many had been received is a sign of life. That of a message that is still arriving too: a pong
    /// cannot overtake it.
    #[inline]
    pub(super) fn notice(&mut self, received: u64) {
        if self.wire.socket.received() != received {
            self.hear();
        }
    }

    pub(super) fn hear(&mut self) {
        if self.declared.settings().ping.is_some() {
            self.wire.clock.hear(Moment::now());
        }
    }
}
