//! The life of a connection: its phase, the phase's deadline, and how it ends.

use std::time::Duration;

use crate::{Close, CloseCode, time::Moment};

/// The phase of a connection. Phases only move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// `on_connect` is running; nothing is read.
    Opening,
    Open,
    /// The server wants to close: requests in flight are finished first.
    Draining,
    /// The server's close frame is written; the client's is awaited.
    Closing,
    /// Only written data is still sent.
    Flushing,
}

/// Changes the phase and decides how the connection ends. Nothing else does.
pub(super) struct Life {
    phase: Phase,
    /// The deadline of the phase; `None` without a limit.
    until: Option<Moment>,
    /// How the connection ends, once known.
    close: Option<Box<Close>>,
    remains: Remains,
}

/// What is left to do with the socket of a connection that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Remains {
    /// The client has yet to receive what was sent before its close frame arrived.
    pub(super) is_unsent: bool,
    /// The client has hung up, and it may have sent more than was read.
    pub(super) is_unread: bool,
    /// The client broke the protocol. Its last bytes may still be arriving, and closing the socket over them would
    /// destroy the close frame.
    pub(super) lingers: bool,
}

impl Life {
    pub(super) fn new(now: Moment, open_timeout: Duration) -> Self {
        Self {
            phase: Phase::Opening,
            until: Some(now + open_timeout),
            close: None,
            remains: Remains::default(),
        }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.until
    }

    /// Whether the deadline of the phase has passed.
    pub(super) fn is_late(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether a close frame has been sent, or never will be.
    pub(super) fn is_past_close(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Flushing)
    }

    fn go(&mut self, phase: Phase, until: Option<Moment>) {
        (self.phase, self.until) = (phase, until);
    }

    /// Goes to a phase that takes at most this long.
    fn go_for(&mut self, phase: Phase, limit: Duration) {
        self.go(phase, Some(Moment::now() + limit));
    }

    /// `on_connect` has admitted the connection. Does nothing if it was closed meanwhile, or if admission took too
    /// long.
    pub(super) fn admit(&mut self) {
        if self.phase == Phase::Opening {
            self.go(Phase::Open, None);
        }
    }

    /// Sets how the connection ends, unless a later call changes it.
    pub(super) fn decide(&mut self, close: Close) {
        self.close = Some(Box::new(close));
    }

    pub(super) fn close(&self) -> Option<&Close> {
        self.close.as_deref()
    }

    /// Begins to drain: requests in flight are finished, then the close frame is sent.
    pub(super) fn drain(&mut self, limit: Duration) {
        self.go_for(Phase::Draining, limit);
    }

    /// Returns the close frame to send now; `None` if the connection ends without one.
    pub(super) fn start_closing(&mut self, limit: Duration) -> Option<&Close> {
        let close = self
            .close
            .get_or_insert_with(|| Box::new(CloseCode::NORMAL.into()));
        if close.code == CloseCode::ABNORMAL {
            return None;
        }
        self.go_for(Phase::Closing, limit);
        self.close()
    }

    /// The client has sent its close frame. If it answers the server's, how the connection ends does not change.
    pub(super) fn client_closed(&mut self, close: Close, limit: Duration) {
        if self.phase != Phase::Closing || self.close.is_none() {
            self.decide(close);
        }
        self.go_for(Phase::Flushing, limit);
    }

    /// The client has broken a rule, and has been sent this close.
    pub(super) fn rule_broken(&mut self, close: Close, limit: Duration) {
        self.remains.lingers = true;
        self.decide(close);
        self.go_for(Phase::Flushing, limit);
    }

    /// The server stops and waits for nothing.
    pub(super) fn stop(&mut self) {
        self.go(Phase::Flushing, Some(Moment::now()));
    }

    /// The connection broke. If the server has already sent its close frame, that still says how it ended.
    pub(super) fn broke(&mut self) {
        if !self.is_past_close() {
            self.decide(CloseCode::ABNORMAL.into());
        }
    }

    /// The client sends nothing more. Unread data may contain its close frame.
    pub(super) fn hung_up(&mut self) {
        self.remains.is_unread = true;
    }

    /// The connection ends before the client has received everything.
    pub(super) fn leave_unsent(&mut self) {
        self.remains.is_unsent = true;
    }

    pub(super) fn remains(&self) -> Remains {
        self.remains
    }

    /// How the connection has ended.
    pub(super) fn end(&mut self) -> Close {
        let close = self.close.take();
        close.map_or_else(|| CloseCode::ABNORMAL.into(), |close| *close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn life() -> Life {
        Life::new(Moment::now(), SECOND)
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_but_the_open_one_has_an_end() {
        let (now, mut life) = (Moment::now(), life());
        assert!(!life.is_late(now) && life.is_late(now + SECOND));
        life.admit();
        assert_eq!((life.phase(), life.deadline()), (Phase::Open, None));
        life.drain(10 * SECOND);
        assert_eq!(life.deadline(), Some(now + 10 * SECOND));
        assert_eq!(
            life.start_closing(10 * SECOND).map(|close| close.code),
            Some(CloseCode::NORMAL)
        );
        assert!(life.is_late(now + 10 * SECOND));
        life.stop();
        assert!(life.is_late(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_closed_before_admission_does_not_open() {
        let mut life = life();
        life.drain(10 * SECOND);
        life.admit();
        assert_eq!(life.phase(), Phase::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_close_frame_does_not_decide_how_it_ends() {
        let mut life = life();
        life.admit();
        life.decide(CloseCode::GOING_AWAY.into());
        life.drain(10 * SECOND);
        assert!(life.start_closing(10 * SECOND).is_some());
        life.client_closed(CloseCode::NORMAL.into(), SECOND);
        life.broke();
        assert_eq!(life.end().code, CloseCode::GOING_AWAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_frame_of_the_client_and_a_broken_connection_decide_how_it_ends() {
        let mut closed = life();
        closed.admit();
        closed.client_closed(CloseCode::NORMAL.into(), SECOND);
        closed.broke();
        assert_eq!(closed.end().code, CloseCode::NORMAL);
        let mut broken = life();
        broken.admit();
        broken.broke();
        assert_eq!(broken.start_closing(SECOND), None);
        assert_eq!(broken.end().code, CloseCode::ABNORMAL);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_broke_a_rule_is_waited_for() {
        let mut life = life();
        life.admit();
        assert_eq!(life.remains(), Remains::default());
        life.rule_broken(CloseCode::PROTOCOL_ERROR.into(), SECOND);
        assert!(life.remains().lingers && life.is_past_close());
    }
}
