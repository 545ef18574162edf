//! Watches an upstream connection for stalls, silence and age.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    relay::{Progress, Relay},
    settings::Config,
};
use crate::{
    Close, CloseCode,
    backoff::chance,
    connection::{
        heartbeat::{Beat, Heartbeat, Pings},
        socket::Failure,
        stall::Stall,
        timer::Timer,
    },
    time::Moment,
};

/// How long an upstream may take to answer the closing handshake.
pub(super) const CLOSE_HANDSHAKE: Duration = Duration::from_secs(3);

/// The upstream's least rate: it sets the pace for its clients, so any progress is enough.
const ANY_RATE: u64 = 0;

/// Detects an upstream that takes nothing for too long.
#[derive(Default)]
pub(super) struct StallWatch {
    stall: Stall,
    timer: Timer,
}

impl StallWatch {
    /// Ready when the upstream has taken nothing for this long. `blocked_at` is how many bytes it has taken if it takes
    /// no more now.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        blocked_at: Option<u64>,
        limit: Duration,
    ) -> Poll<()> {
        match blocked_at {
            Some(taken) => self.stall.blocked(taken, ANY_RATE),
            None => self.stall.end(),
        }
        match self.stall.due(limit) {
            Some(due) => self.timer.poll(cx, due),
            None => Poll::Pending,
        }
    }
}

/// Ends an upstream connection at its maximum age.
pub(super) struct Age {
    /// From when the connection is closed as soon as no request waits for an answer, and when it is closed in any case.
    limits: Option<(Moment, Moment)>,
    /// The deadline of the closing handshake, once it has begun.
    closing: Option<Moment>,
    timer: Timer,
}

impl Age {
    pub(super) fn new(config: &Config) -> Self {
        let now = Moment::now();
        // Without a reconnect policy the client would be closed.
        let max = config
            .max_connection_age
            .filter(|_| config.reconnect.is_some());
        Self {
            limits: max.map(|max| (now + max.mul_f64(0.75 + chance() / 8.0), now + max)),
            closing: None,
            timer: Timer::default(),
        }
    }

    /// Ready when the connection must end, even if the upstream has not completed the closing handshake.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        relay: &Relay,
    ) -> Poll<Result<(), Failure>> {
        let Some((from, until)) = self.limits else {
            return Poll::Pending;
        };
        loop {
            if let Some(limit) = self.closing {
                return self.timer.poll(cx, limit).map(Ok);
            }
            if self.timer.wakes_by(from) {
                return Poll::Pending; // not polled for every message
            }
            ready!(self.timer.poll(cx, from));
            let now = Moment::now();
            match relay.retire(now >= until) {
                Ok(true) => self.closing = Some(now + CLOSE_HANDSHAKE),
                Ok(false) => ready!(self.timer.poll(cx, until)),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether this close only completes the closing handshake, and is not meant for the client.
    pub(super) fn is_answer(&self, close: &Close) -> bool {
        let says_nothing = matches!(
            close.code,
            CloseCode::GOING_AWAY | CloseCode::NORMAL | CloseCode::NO_STATUS
        );
        self.is_closing() && says_nothing
    }
}

/// Detects an upstream that has gone silent.
pub(super) struct Pulse {
    heartbeat: Heartbeat,
    /// The bytes received at the last look.
    received: u64,
    timer: Timer,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            heartbeat: Heartbeat::from(Moment::now()),
            received: 0,
            timer: Timer::default(),
        }
    }

    /// Counts as a sign of life: the upstream was not read for a while.
    pub(super) fn excuse(&mut self) {
        self.heartbeat.heard(Moment::now());
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        progress: &Progress,
        pings: &Pings,
    ) -> Poll<Beat> {
        let Some(interval) = pings.interval else {
            return Poll::Pending;
        };
        if self.received != progress.received {
            self.received = progress.received;
            let now = Moment::now();
            self.heartbeat.heard(now);
            if self.timer.wakes_by(now + interval) {
                return Poll::Pending; // not polled for every message
            }
        }
        loop {
            let Some(due) = self.heartbeat.due(pings) else {
                return Poll::Pending;
            };
            ready!(self.timer.poll(cx, due));
            let now = Moment::now();
            // The pong may be among unread data, and a ping cannot overtake data that the upstream does not take.
            if !progress.is_read || progress.blocked_at.is_some() {
                self.heartbeat.heard(now);
                continue;
            }
            return Poll::Ready(self.heartbeat.beat(pings, now));
        }
    }
}
