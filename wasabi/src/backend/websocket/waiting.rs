//! The messages that wait until they can be written to the upstream.

use std::{collections::VecDeque, task::Waker};

use tokio::time::Instant;

use super::{correlate::Id, unreachable::Unreachable};
use crate::Message;

/// Messages in the order in which their requests came.
#[derive(Default)]
pub(super) struct Waiting {
    /// In the order of their tickets.
    places: VecDeque<Place>,
    /// Failures that requests have not picked up yet. A request that is neither in the queue nor here has been written.
    failed: Vec<(u64, Unreachable)>,
    next_ticket: u64,
}

/// A message's place in the queue.
pub(super) struct Place {
    ticket: u64,
    pub(super) since: Instant,
    pub(super) message: Message,
    /// Set if the request waits for an answer.
    pub(super) id: Option<Id>,
    pub(super) request: Waker,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts a message at the end, and returns its ticket.
    pub(super) fn push(&mut self, message: Message, id: Option<Id>) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.places.push_back(Place {
            ticket,
            since: Instant::now(),
            message,
            id,
            request: Waker::noop().clone(),
        });
        ticket
    }

    pub(super) fn first(&self) -> Option<&Place> {
        self.places.front()
    }

    /// Takes the first message out, to write it.
    pub(super) fn pop(&mut self) -> Option<Place> {
        self.places.pop_front()
    }

    /// The place of a message that still waits.
    pub(super) fn place(&mut self, ticket: u64) -> Option<&mut Place> {
        let index = self.find(ticket)?;
        self.places.get_mut(index)
    }

    fn find(&self, ticket: u64) -> Option<usize> {
        self.places
            .binary_search_by_key(&ticket, |place| place.ticket)
            .ok()
    }

    /// Takes why a message was not written; `None` if it was.
    pub(super) fn take_failure(&mut self, ticket: u64) -> Option<Unreachable> {
        let index = self.failed.iter().position(|(other, _)| *other == ticket)?;
        Some(self.failed.swap_remove(index).1)
    }

    /// Fails messages from the front while the condition holds.
    pub(super) fn fail_while(&mut self, which: impl Fn(&Place) -> bool, why: &Unreachable) {
        while self.places.front().is_some_and(&which) {
            if let Some(place) = self.places.pop_front() {
                self.failed.push((place.ticket, why.clone()));
                place.request.wake();
            }
        }
    }

    /// Removes what is left of a message whose request has ended.
    pub(super) fn forget(&mut self, ticket: u64) {
        if let Some(index) = self.find(ticket) {
            self.places.remove(index);
        } else {
            self.take_failure(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Waiting, [u64; 3]) {
        let mut waiting = Waiting::default();
        let tickets = ["a", "b", "c"].map(|text| waiting.push(Message::text(text), None));
        (waiting, tickets)
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_came() {
        let (mut waiting, [_, second, _]) = three();
        waiting.forget(second);
        let left = std::iter::from_fn(|| waiting.pop());
        let left: Vec<_> = left.map(|place| place.message).collect();
        assert_eq!(left, [Message::text("a"), Message::text("c")]);
    }

    #[test]
    fn a_failure_is_kept_until_its_request_picks_it_up_or_ends() {
        let (mut waiting, [first, second, third]) = three();
        waiting.fail_while(|place| place.ticket < third, &Unreachable::Lost);
        assert!(waiting.place(first).is_none() && waiting.place(third).is_some());
        assert!(waiting.take_failure(first).is_some());
        assert!(waiting.take_failure(first).is_none());
        waiting.forget(second);
        assert!(waiting.take_failure(second).is_none());
        assert!(waiting.failed.is_empty());
    }
}
