//! The end of a connection, and of the client: what becomes of that which waits.

use super::{Inner, Shared};
use crate::client::{
    NotSent, State,
    calls::{Call, Outgoing},
    error::Failure,
};

impl Shared {
    /// What was sent fails; what was not waits for the next connection.
    pub(in crate::client) fn lost(&self, reason: &str) {
        let mut inner = self.lock();
        if inner.unasked.is_none() {
            return;
        }
        let sent = inner.lose(reason);
        inner
            .outgoing
            .retain(|each| matches!(each, Outgoing::Call(_)));
        inner.posted = 0;
        inner.follow_anew();
        drop(inner);
        fail(sent, &lost(reason));
    }

    /// Ends everything. What was posted may still be written.
    pub(in crate::client) fn end(&self, code: u16, reason: &str) {
        let mut inner = self.lock();
        if inner.unasked.take().is_none() {
            return;
        }
        let sent = inner.lose(reason);
        inner
            .outgoing
            .retain(|each| !matches!(each, Outgoing::Call(_)));
        let unsent: Vec<_> = std::mem::take(&mut inner.calls).into_values().collect();
        drop(inner);
        fail(sent, &lost(reason));
        fail(unsent, &NotSent::new(reason).into());
        self.tell(State::Closed {
            code,
            reason: reason.to_owned(),
        });
    }

    /// Nothing is written any more.
    pub(in crate::client) fn over(&self) {
        self.lock().outgoing.clear();
        self.closed.cancel();
    }
}

impl Inner {
    /// There is no connection any more. Returns the requests that were sent over it.
    fn lose(&mut self, reason: &str) -> Vec<Call> {
        self.is_open = false;
        reason.clone_into(&mut self.why);
        self.subscriptions.clear();
        let was_sent = |_: &u64, call: &mut Call| call.text.is_none();
        let sent = self.calls.extract_if(.., was_sent);
        sent.map(|(_, call)| call).collect()
    }
}

fn lost(reason: &str) -> Failure {
    Failure::Lost {
        reason: reason.to_owned(),
    }
}

fn fail(calls: Vec<Call>, failure: &Failure) {
    for caller in calls.into_iter().filter_map(|call| call.caller) {
        caller.fail(failure.clone());
    }
}
