//! Timers: heartbeats and deadlines.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Driver, Phase, Turn};
use crate::{
    Close, CloseCode, Message, Reply, Request, Result,
    connection::{
        heartbeat::{Beat, Heartbeat},
        socket::HangUp,
        timer::Timer,
    },
    log::limited,
    parser::Inbound,
};

/// How often a client that is not being read is checked for a hang-up. Without reading, nothing would report it.
const LOOK: Duration = Duration::from_secs(1);

/// When something last happened, and the timer for what is due.
pub(super) struct Clock {
    pub(super) heartbeat: Heartbeat,
    /// The last message in either direction.
    pub(super) active: Instant,
    /// When a client that is not being read was last checked for a hang-up.
    looked: Instant,
    /// The earliest time at which a streaming reply can have been silent for too long.
    pub(super) streams: Option<Instant>,
    timer: Timer,
}

impl Clock {
    pub(super) fn from(now: Instant) -> Self {
        Self {
            heartbeat: Heartbeat::from(now),
            active: now,
            looked: now,
            streams: None,
            timer: Timer::default(),
        }
    }
}

impl<T, F, P, C> Driver<'_, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Inbound,
    C: Fn(Request) -> F,
{
    /// The next time at which a timer is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sending = self.flow.due(self.settings.send_timeout);
        let phase = self.life.deadline();
        if self.life.phase() != Phase::Open {
            return [sending, phase, self.clock.streams]
                .into_iter()
                .flatten()
                .min();
        }
        let expires = self.connection.outbox().expires();
        let look = self.is_full().then(|| self.clock.looked + LOOK);
        [
            sending,
            self.clock.heartbeat.due(&self.settings.pings()),
            self.idle_at(),
            expires,
            look,
            self.clock.streams,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn idle_at(&self) -> Option<Instant> {
        Some(self.clock.active + self.settings.idle_timeout?)
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        self.clock.timer.poll(cx, deadline)
    }

    /// Does what is due.
    pub(super) fn expired(&mut self) -> Poll<()> {
        let now = Instant::now();
        let sending = self.flow.due(self.settings.send_timeout);
        if sending.is_some_and(|at| now >= at) {
            tracing::debug!(connection = %self.connection.id(), "client reads too slowly");
            let close = Close::new(CloseCode::POLICY, "slow consumer");
            // It will rarely get through, but it may.
            let _ = self.socket.close(&close);
            self.life.decide(close);
            return Poll::Ready(());
        }
        if self.clock.streams.is_some_and(|at| now >= at)
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
                self.batch.clear();
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

    /// Checks heartbeat and idle timeout. Requests in flight count as activity, but not as a sign of life.
    pub(super) fn watch(&mut self, now: Instant) -> Poll<()> {
        if !self.requests.in_flight.is_empty() {
            self.clock.active = now;
        }
        // A pong may be among the unread data.
        if self.is_full() || self.socket.is_blocked() {
            self.clock.heartbeat.heard(now);
        }
        if self.is_full() {
            self.clock.looked = now;
            if self.socket.has_hung_up() {
                self.hung_up();
                return Poll::Ready(());
            }
        }
        let expires = self.connection.outbox().expires();
        if expires.is_some_and(|at| now >= at) {
            self.life
                .decide(Close::new(CloseCode::EXPIRED, "credentials have expired"));
            self.drain();
        } else if self.idle_at().is_some_and(|at| now >= at) {
            self.life.decide(Close::new(CloseCode::GOING_AWAY, "idle"));
            self.drain();
        } else {
            match self.clock.heartbeat.beat(&self.settings.pings(), now) {
                Beat::Nothing => {}
                Beat::Ping => {
                    if self.socket.write_ping().is_err() {
                        return Poll::Ready(());
                    }
                }
                Beat::Lost => {
                    tracing::debug!(connection = %self.connection.id(), "ping not answered");
                    self.life.decide(CloseCode::ABNORMAL.into());
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }

    pub(super) fn hear(&mut self) {
        if self.settings.ping.is_some() {
            self.clock.heartbeat.heard(Instant::now());
        }
    }
}
