//! What must hold after each step, and at the end.

use wasabi_fuzz::model::End;

use crate::world::{EARLY, Limits, MAX_REPLY, World};

impl World<'_> {
    /// Memory does not grow with what comes in.
    pub(crate) fn check_bounds(&self) {
        let held = self.session.held();
        let Limits {
            concurrency,
            max_message_size,
            max_waiting_messages,
            max_waiting_bytes,
        } = self.limits;
        // A message that fits begins while there is room.
        assert!(
            held.unsent <= max_waiting_bytes + 2 * MAX_REPLY + 16 * 1024,
            "{held:?}"
        );
        assert!(held.in_flight <= concurrency, "{held:?}");
        assert!(
            held.ahead <= 16 && held.ahead_bytes < 2 * max_message_size.max(1),
            "{held:?}"
        );
        let waiting = self.pushes.len() - self.pushes_seen;
        assert!(
            waiting <= max_waiting_messages + (held.unsent + self.rest.len()) / 3 + 1,
            "{waiting} {held:?}"
        );
    }

    /// Everything that can be done is done: nobody has to wake it once more.
    pub(crate) fn check_nothing_waits(&self) {
        assert_eq!(self.session.held().unsent, 0, "the client takes everything");
        assert!(self.rest.is_empty());
        let log = self.log.lock().expect("whole");
        let open = log
            .iter()
            .filter(|one| one.is_called && !one.is_done)
            .count();
        match self.model.end {
            // What is wrong is seen when what came before it is.
            Some(end) if open < self.limits.concurrency => {
                panic!("the client has ended with {end:?}, and nothing came of it")
            }
            Some(_) => return,
            None if self.close.is_some() => {
                let is_early = self.model.is_within_a_frame() || self.is_flooded();
                assert!(
                    !self.closing.is_empty() || is_early,
                    "a close without a reason"
                );
                return;
            }
            None => {}
        }
        assert_eq!(self.pushes_seen, self.pushes.len());
        if open < self.limits.concurrency {
            let mut read: Vec<_> = log.iter().map(|one| &one.payload).collect();
            let mut said: Vec<_> = self.model.messages.iter().collect();
            if !self.closing.is_empty() {
                // What comes late is refused before what waits for a slot is looked at.
                read.sort();
                said.sort();
            }
            assert_eq!(read, said, "every message is read, as it is");
            let last = self.model.pings.last();
            assert_eq!(self.pongs.last(), last, "the last ping is answered");
        }
        for (id, exchange) in log.iter().enumerate() {
            // One that waits for a slot has been parsed, and neither called nor refused.
            let may_wait = !exchange.is_called && open >= self.limits.concurrency;
            exchange.check(id, !may_wait);
        }
        if !self.closing.is_empty() {
            assert!(open > 0, "nothing is in flight, and it does not close");
        }
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.model.controls > 100
    }

    /// How it has ended must follow from what has happened.
    pub(crate) fn check_end(&self) {
        let log = self.log.lock().expect("whole");
        let is_wrong =
            self.model.end.is_some() || self.model.is_within_a_frame() || self.is_flooded();
        for (id, exchange) in log.iter().enumerate() {
            if !is_wrong {
                let payload = &exchange.payload;
                assert!(
                    self.model.messages.contains(payload),
                    "nobody has sent {payload:?}"
                );
            }
            let is_graceful = !self.is_cut && !is_wrong && self.time < EARLY;
            exchange.check(id, is_graceful);
        }
        if let Some(Some(code)) = self.close {
            let by_client = match self.model.end {
                Some(End::Close(close)) => close == Some(code),
                Some(End::Wrong(rule)) => rule == code,
                None => false,
            };
            let by_rule = self.model.is_within_a_frame() && matches!(code, 1002 | 1007 | 1009);
            let by_flood = self.is_flooded() && code == 1008;
            let by_server = self.closing.contains(&code) || self.is_cut && code == 1012;
            let by_time = self.time >= EARLY && matches!(code, 1008 | 1011);
            assert!(
                by_client || by_rule || by_flood || by_server || by_time,
                "a close with {code} after {:?} and {:?}",
                self.model.end,
                self.closing
            );
        }
    }
}
