//! Heartbeats: a silent peer is pinged, and lost if it does not answer.

use std::time::Duration;

use crate::time::Moment;

/// When a peer is pinged, and how long it may take to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pings {
    /// How long a peer may be silent before it is pinged; `None` means for ever.
    pub(crate) interval: Option<Duration>,
    /// Default: the interval.
    pub(crate) timeout: Option<Duration>,
}

impl Default for Pings {
    /// Proxies commonly cut connections that are silent for a minute.
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(30)),
            timeout: None,
        }
    }
}

/// When the peer was last heard.
pub(crate) struct Heartbeat {
    heard: Moment,
    pinged: Option<Moment>,
}

/// What to do about a silent peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Nothing,
    Ping,
    /// The peer has not answered the ping.
    Lost,
}

impl Heartbeat {
    pub(crate) fn from(now: Moment) -> Self {
        Self {
            heard: now,
            pinged: None,
        }
    }

    /// The peer has sent something, or cannot be blamed for its silence.
    pub(crate) fn heard(&mut self, now: Moment) {
        *self = Self::from(now);
    }

    pub(crate) fn last_heard(&self) -> Moment {
        self.heard
    }

    /// When the next action is due.
    pub(crate) fn due(&self, pings: &Pings) -> Option<Moment> {
        let interval = pings.interval?;
        Some(match self.pinged {
            None => self.heard + interval,
            Some(pinged) => pinged + pings.timeout.unwrap_or(interval),
        })
    }

    /// The action due now. The caller must send a ping if told to.
    pub(crate) fn beat(&mut self, pings: &Pings, now: Moment) -> Beat {
        if self.due(pings).is_none_or(|due| now < due) {
            return Beat::Nothing;
        }
        if self.pinged.is_some() {
            return Beat::Lost;
        }
        self.pinged = Some(now);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn beats(pings: &Pings, heartbeat: &mut Heartbeat, from: Moment, seconds: u32) -> Vec<Beat> {
        let at = |second| from + second * SECOND;
        let beats = (0..seconds).map(|second| heartbeat.beat(pings, at(second)));
        beats.filter(|beat| *beat != Beat::Nothing).collect()
    }

    #[test]
    fn a_silent_peer_is_pinged_once_and_lost_after_the_timeout() {
        let pings = Pings {
            interval: Some(30 * SECOND),
            timeout: Some(5 * SECOND),
        };
        let now = Moment::now();
        let mut heartbeat = Heartbeat::from(now);
        assert_eq!(beats(&pings, &mut heartbeat, now, 30), []);
        assert_eq!(beats(&pings, &mut heartbeat, now, 35), [Beat::Ping]);
        assert_eq!(beats(&pings, &mut heartbeat, now, 36), [Beat::Lost]);
        heartbeat.heard(now + 35 * SECOND);
        assert_eq!(beats(&pings, &mut heartbeat, now, 65), []);
    }

    #[test]
    fn a_peer_that_is_not_pinged_may_stay_silent() {
        let pings = Pings {
            interval: None,
            timeout: Some(SECOND),
        };
        let now = Moment::now();
        let mut heartbeat = Heartbeat::from(now);
        assert_eq!(heartbeat.due(&pings), None);
        assert_eq!(beats(&pings, &mut heartbeat, now, 3600), []);
    }
}
