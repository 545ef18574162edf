//! The requests of a connection: those in flight, replies that the client has not taken, and messages read ahead.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{
    Message, RequestId,
    connection::in_flight::{InFlight, Tag},
    panics::discard,
    reply::Body,
    request::Owes,
};

/// Messages read ahead while every slot is busy, so that pings and closes behind them are noticed. Reading also stops
/// at the size of the largest allowed message.
const READ_AHEAD: usize = 16;

/// Everything that a client waits for.
pub(super) struct Requests<F> {
    pub(super) in_flight: InFlight<F, InSlot>,
    /// Slots whose requests continue when the client takes more data, first come first served.
    held: VecDeque<usize>,
    held_bytes: usize,
    /// The slot of a reply whose first messages are written and whose others follow. Nothing is written in between.
    pub(super) unfinished: Option<usize>,
    pub(super) ahead: ReadAhead,
}

/// The data of a request in flight.
#[derive(Default)]
pub(super) struct InSlot {
    pub(super) id: Option<RequestId>,
    pub(super) route: &'static str,
    pub(super) owes: Owes,
    /// The reply while the client takes no data, or the rest of a streaming reply.
    pub(super) reply: Option<Body>,
    /// Whether the slot is in `held`.
    pub(super) is_held: bool,
    /// When the source of a streaming reply fell silent, although it was polled.
    pub(super) silent: Option<Instant>,
}

impl Tag for InSlot {
    fn clear(&mut self) {
        self.id = None;
        self.is_held = false;
        self.silent = None;
        if let Some(reply) = self.reply.take() {
            discard(reply);
        }
    }
}

impl<F: Future> Requests<F> {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            in_flight: InFlight::new(concurrency),
            held: VecDeque::new(),
            held_bytes: 0,
            unfinished: None,
            ahead: ReadAhead::default(),
        }
    }

    /// Whether no request is in flight and none waits for a slot.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.ahead.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len() + self.ahead.len()
    }

    /// The number of replies that the client has not taken.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The bytes of the replies that the client has not taken.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Keeps a reply in its slot until the client takes more data.
    pub(super) fn hold(&mut self, index: usize, body: Body) {
        if let Some(slot) = self.in_flight.tag_mut(index) {
            self.held_bytes += body.bytes();
            slot.reply = Some(body);
            slot.is_held = true;
            slot.silent = None;
            self.held.push_back(index);
        }
    }

    /// Takes out the reply that has been held for longest, with its slot.
    pub(super) fn next_held(&mut self) -> Option<(usize, Option<Body>)> {
        let index = self.held.pop_front()?;
        let Some(slot) = self.in_flight.tag_mut(index) else {
            return Some((index, None));
        };
        slot.is_held = false;
        let body = slot.reply.take();
        self.held_bytes -= body.as_ref().map_or(0, Body::bytes);
        Some((index, body))
    }

    /// Cancels the requests whose replies nobody waits for any more, and returns how many.
    pub(super) fn leave(&mut self) -> usize {
        let mut cancelled = 0;
        for index in 0..self.in_flight.slots() {
            let Some(slot) = self.in_flight.tag_mut(index) else {
                continue;
            };
            // A request that has its reply is done.
            if slot.owes.is_reply() || slot.reply.is_some() {
                self.in_flight.finish(index);
                self.in_flight.release(index);
                cancelled += 1;
            }
        }
        self.held.clear();
        self.held_bytes = 0;
        cancelled
    }

    /// Cancels all requests.
    pub(super) fn cancel(&mut self) {
        self.in_flight.clear();
        self.held.clear();
        self.held_bytes = 0;
        self.unfinished = None;
        self.ahead.clear();
    }
}

/// Messages that were read while no slot was free.
#[derive(Default)]
pub(super) struct ReadAhead {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl ReadAhead {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing more may be read, beyond this many bytes.
    #[inline]
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.messages.len() >= READ_AHEAD || self.bytes >= max_bytes
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }

    #[cfg(fuzzing)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Pending, pending},
        task::Waker,
    };

    use super::*;

    type Requesting = Requests<Pending<()>>;

    fn start(requests: &mut Requesting, owes_reply: bool) -> usize {
        let (index, slot) = requests.in_flight.reserve(Waker::noop());
        slot.owes.set(owes_reply);
        requests.in_flight.start(index, pending);
        index
    }

    fn body(text: &'static str) -> Body {
        Body::One(Message::text(text))
    }

    #[test]
    fn replies_are_held_in_order_with_their_bytes() {
        let mut requests = Requesting::new(4);
        let (first, second) = (start(&mut requests, true), start(&mut requests, true));
        requests.hold(second, body("four"));
        requests.hold(first, body("sixsix"));
        assert_eq!((requests.held(), requests.held_bytes()), (2, 10));
        let next = requests
            .next_held()
            .map(|(index, body)| (index, body.is_some()));
        assert_eq!(next, Some((second, true)));
        assert_eq!((requests.held(), requests.held_bytes()), (1, 6));
        requests.in_flight.release(second);
        requests.cancel();
        assert_eq!((requests.held(), requests.held_bytes()), (0, 0));
        assert!(requests.is_empty() && requests.next_held().is_none());
    }

    #[test]
    fn only_requests_that_owe_no_reply_stay_when_the_client_leaves() {
        let mut requests = Requesting::new(4);
        let owed = start(&mut requests, true);
        let not_owed = start(&mut requests, false);
        let replied = start(&mut requests, false);
        requests.hold(replied, body("too late"));
        requests.ahead.push(Message::text("later"));
        assert_eq!(requests.leave(), 2);
        assert_eq!((requests.len(), requests.held_bytes()), (2, 0));
        assert!(requests.in_flight.tag_mut(not_owed).is_some());
        for index in [owed, replied] {
            assert!(requests.in_flight.tag_mut(index).is_none());
        }
    }

    #[test]
    fn reading_ahead_ends_at_a_number_of_messages_or_of_bytes() {
        let mut ahead = ReadAhead::default();
        ahead.push(Message::text("12345678"));
        assert!(ahead.is_full(8) && !ahead.is_full(9));
        for _ in 1..READ_AHEAD {
            assert!(!ahead.is_full(1000));
            ahead.push(Message::text(""));
        }
        assert!(ahead.is_full(1000));
        assert_eq!(ahead.pop(), Some(Message::text("12345678")));
        assert!(!ahead.is_full(1));
    }
}
