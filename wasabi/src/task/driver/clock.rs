//! When something last happened between the gateway and a client, and what an open connection does about it.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    Close, CloseCode,
    channel::Settings,
    connection::{
        heartbeat::{Beat, Heartbeat},
        timer::Timer,
    },
    time::Moment,
};

/// How often a client that is not being read is checked for a hang-up. Without reading, nothing would report it.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Clock {
    heartbeat: Heartbeat,
    /// The last message in either direction; `None` if the connection may be idle for ever.
    active: Option<Moment>,
    /// The earliest time at which a streaming reply can have been silent for too long.
    pub(super) streams: Option<Moment>,
    timer: Timer,
}

/// What to do about the client of an open connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    Ping,
    /// Finish the requests in flight, and close with this.
    Close(Close),
    /// The client does not answer.
    Lost,
}

impl Clock {
    pub(super) fn from(now: Moment, settings: &Settings) -> Self {
        Self {
            heartbeat: Heartbeat::from(now),
            active: settings.idle_timeout.map(|_| now),
            streams: None,
            timer: Timer::default(),
        }
    }

    /// A message came or went.
    #[inline]
    pub(super) fn act(&mut self) {
        if let Some(active) = &mut self.active {
            *active = Moment::now();
        }
    }

    /// The connection is not idle: a request is in flight.
    pub(super) fn work(&mut self, now: Moment) {
        if let Some(active) = &mut self.active {
            *active = now;
        }
    }

    /// The client has sent something, or cannot be blamed for its silence.
    pub(super) fn hear(&mut self, now: Moment) {
        self.heartbeat.heard(now);
    }

    /// When a client that is not being read is checked for a hang-up again. It counts as heard at each check.
    pub(super) fn look_at(&self) -> Moment {
        self.heartbeat.last_heard() + LOOK
    }

    fn idle_at(&self, settings: &Settings) -> Option<Moment> {
        Some(self.active? + settings.idle_timeout?)
    }

    /// When the next verdict about an open connection is due.
    pub(super) fn due(&self, settings: &Settings, expires: Option<Moment>) -> Option<Moment> {
        let beat = self.heartbeat.due(&settings.pings());
        let times = [beat, self.idle_at(settings), expires];
        times.into_iter().flatten().min()
    }

    /// Decides about an open connection whose credentials expire at this time.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        settings: &Settings,
        expires: Option<Moment>,
    ) -> Verdict {
        let has_come = |at: Option<Moment>| at.is_some_and(|at| now >= at);
        if has_come(expires) {
            let close = Close::new(CloseCode::EXPIRED, "credentials have expired");
            return Verdict::Close(close);
        }
        if has_come(self.idle_at(settings)) {
            return Verdict::Close(Close::new(CloseCode::GOING_AWAY, "idle"));
        }
        match self.heartbeat.beat(&settings.pings(), now) {
            Beat::Nothing => Verdict::Nothing,
            Beat::Ping => Verdict::Ping,
            Beat::Lost => Verdict::Lost,
        }
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        self.timer.poll(cx, deadline)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn code(verdict: Verdict) -> Option<CloseCode> {
        match verdict {
            Verdict::Close(close) => Some(close.code),
            _ => None,
        }
    }

    fn settings(idle_timeout: Option<Duration>, ping: Option<Duration>) -> Settings {
        Settings {
            idle_timeout,
            ping,
            ..Settings::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_without_messages_and_without_requests() {
        let settings = settings(Some(10 * SECOND), None);
        let began = Moment::now();
        let mut clock = Clock::from(began, &settings);
        assert_eq!(clock.due(&settings, None), Some(began + 10 * SECOND));
        advance(9 * SECOND).await;
        clock.act();
        let later = began + 19 * SECOND;
        assert_eq!(clock.due(&settings, None), Some(later));
        clock.work(later);
        assert_eq!(clock.judge(later, &settings, None), Verdict::Nothing);
        let verdict = clock.judge(later + 10 * SECOND, &settings, None);
        assert_eq!(code(verdict), Some(CloseCode::GOING_AWAY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_timeouts_is_never_due() {
        let settings = settings(None, None);
        let mut clock = Clock::from(Moment::now(), &settings);
        clock.act();
        assert_eq!(clock.due(&settings, None), None);
        let much_later = Moment::now() + 100_000 * SECOND;
        assert_eq!(clock.judge(much_later, &settings, None), Verdict::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_pinged_and_then_lost_unless_its_credentials_expire_first() {
        let settings = settings(None, Some(30 * SECOND));
        let now = Moment::now();
        let mut clock = Clock::from(now, &settings);
        let mut judge =
            |seconds: u32, expires| clock.judge(now + seconds * SECOND, &settings, expires);
        assert_eq!(judge(29, None), Verdict::Nothing);
        assert_eq!(judge(30, None), Verdict::Ping);
        let expired = judge(60, Some(now + 60 * SECOND));
        assert_eq!(code(expired), Some(CloseCode::EXPIRED));
        assert_eq!(judge(60, None), Verdict::Lost);
    }
}
