//! The requests of a connection: those in flight, and replies that the client has not taken.

use std::mem;

use super::ahead::ReadAhead;
use crate::{
    Connection, RequestId,
    connection::{
        ConnectionState,
        few::Few,
        in_flight::{InFlight, Tag},
    },
    panics::discard,
    pieces::SMALL,
    reply::Body,
    request::Owes,
    time::Moment,
};

/// Everything that a client waits for.
pub(super) struct Requests<F> {
    pub(super) in_flight: Slots<F>,
    /// Slots whose requests continue when the client takes more data, first come first served.
    held: Few<usize>,
    held_bytes: usize,
    /// The slot of a reply whose first messages are written and whose others follow. Nothing is written in between.
    pub(super) unfinished: Option<Unfinished>,
    pub(super) ahead: ReadAhead,
}

/// The slot of a reply that is unfinished, in half of the memory of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfinished(u32);

impl Unfinished {
    /// There are no more slots than fit.
    pub(super) fn at(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

pub(super) type Slots<F> = InFlight<F, InSlot, ConnectionState>;

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
    pub(super) silent: Option<Moment>,
}

impl InSlot {
    /// Whether nothing is left of the request but a reply of one message, or of none.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.reply, Some(Body::One(_) | Body::None | Body::Gated(_)))
    }
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
    pub(super) fn new(concurrency: usize, connection: &Connection) -> Self {
        Self {
            in_flight: InFlight::new(concurrency, connection.shared()),
            held: Few::new(),
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
        // A small message shares its memory with others, which nothing would count.
        let body = match body {
            Body::One(message) if message.len() <= SMALL => Body::One(message.copied()),
            body => body,
        };
        if let Some(slot) = self.in_flight.tag_mut(index) {
            self.held_bytes += body.bytes();
            slot.reply = Some(body);
            slot.is_held = true;
            slot.silent = None;
            self.held.made().push_back(index);
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

    /// Holds the rest of the reply that is unfinished. It goes on before all others.
    #[cold]
    pub(super) fn hold_unfinished(&mut self) {
        if let Some(index) = self.unfinished.map(Unfinished::index)
            && let Some(slot) = self.in_flight.tag_mut(index)
            && !slot.is_held
            && let Some(rest) = slot.reply.take()
        {
            self.hold(index, rest);
        }
    }

    /// The reply in this slot is held no more.
    pub(super) fn unhold(&mut self, index: usize) {
        if let Some(slot) = self.in_flight.tag_mut(index)
            && mem::take(&mut slot.is_held)
        {
            self.held_bytes -= slot.reply.as_ref().map_or(0, Body::bytes);
            self.held.made().retain(|held| *held != index);
        }
    }

    /// Drops the future of a request, and what is left of its reply. The slot stays taken.
    pub(super) fn abandon(&mut self, index: usize) {
        self.in_flight.finish(index);
        self.unhold(index);
        if self.unfinished == Some(Unfinished::at(index)) {
            self.unfinished = None;
        }
        let Some(slot) = self.in_flight.tag_mut(index) else {
            return;
        };
        slot.silent = None;
        if let Some(reply) = slot.reply.take() {
            discard(reply);
        }
    }

    /// Frees the memory that past requests have left.
    pub(super) fn give_back(&mut self) {
        self.in_flight.give_back();
        self.held.give_back();
        self.ahead.give_back();
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
        self.held = Few::new();
        self.held_bytes = 0;
        cancelled
    }

    /// Cancels all requests.
    pub(super) fn cancel(&mut self) {
        self.in_flight.clear();
        self.held = Few::new();
        self.held_bytes = 0;
        self.unfinished = None;
        self.ahead.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Pending, pending};

    use bytes::Bytes;

    use super::*;
    use crate::{Message, protocol::Inbound, testing};

    type Requesting = Requests<Pending<()>>;

    fn requesting() -> Requesting {
        Requests::new(4, &testing::connection(0, "/"))
    }

    fn start(requests: &mut Requesting, owes_reply: bool) -> usize {
        let (index, slot) = requests.in_flight.reserve();
        slot.owes.set(owes_reply);
        requests.in_flight.start(index, pending);
        index
    }

    fn body(text: &'static str) -> Body {
        Body::One(Message::text(text))
    }

    #[test]
    fn the_memory_of_past_requests_is_given_back_unless_one_is_in_flight() {
        let mut requests = requesting();
        let slots = [(); 3].map(|()| start(&mut requests, true));
        requests.hold(slots[0], body("held"));
        requests.give_back();
        assert_eq!(requests.in_flight.slots(), 3);

        let stale = requests.in_flight.waker(slots[2]).clone();
        requests.cancel();
        requests.give_back();
        assert_eq!(requests.in_flight.slots(), 0);

        let first = start(&mut requests, true);
        requests.in_flight.waker(first).wake_by_ref();
        assert_eq!((first, requests.in_flight.take_woken(0)), (0, 1));
        // The slot that it wakes is no more.
        stale.wake();
        assert_eq!(requests.in_flight.take_woken(0), 1 << slots[2]);
        assert!(requests.in_flight.tag_mut(slots[2]).is_none());
    }

    #[test]
    fn a_wake_up_reaches_its_slot_however_many_there_are() {
        let mut requests = Requesting::new(200, &testing::connection(0, "/"));
        let slots: Vec<_> = (0..200).map(|_| start(&mut requests, true)).collect();
        for index in [0, 63, 64, 199] {
            requests.in_flight.waker(slots[index]).wake_by_ref();
            for word in 0..requests.in_flight.words() {
                let expected = if word == index / 64 {
                    1 << (index % 64)
                } else {
                    0
                };
                assert_eq!(requests.in_flight.take_woken(word), expected, "{index}");
            }
        }
    }

    #[test]
    fn replies_are_held_in_order_with_their_bytes() {
        let mut requests = requesting();
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
    fn a_small_reply_that_is_held_pins_no_memory_of_others() {
        let mut requests = requesting();
        let piece = Bytes::from(vec![0; 100]);
        let index = start(&mut requests, true);
        requests.hold(index, Body::One(Message::binary(piece.slice(..10))));
        assert!(piece.is_unique());
        assert_eq!(requests.held_bytes(), 10);
    }

    #[test]
    fn only_requests_that_owe_no_reply_stay_when_the_client_leaves() {
        let mut requests = requesting();
        let owed = start(&mut requests, true);
        let not_owed = start(&mut requests, false);
        let replied = start(&mut requests, false);
        requests.hold(replied, body("too late"));
        requests.ahead.push(Inbound::Dropped, 5);
        assert_eq!(requests.leave(), 2);
        assert_eq!((requests.len(), requests.held_bytes()), (2, 0));
        assert!(requests.in_flight.tag_mut(not_owed).is_some());
        for index in [owed, replied] {
            assert!(requests.in_flight.tag_mut(index).is_none());
        }
    }

    #[test]
    fn an_abandoned_request_keeps_nothing_but_its_slot() {
        let mut requests = requesting();
        let (first, second) = (start(&mut requests, true), start(&mut requests, true));
        requests.hold(first, body("four"));
        requests.hold(second, body("sixsix"));
        requests.abandon(first);
        assert_eq!((requests.held(), requests.held_bytes()), (1, 6));
        assert_eq!(requests.len(), 2);
        requests.unfinished = Some(Unfinished::at(first));
        requests.abandon(first);
        assert_eq!(requests.unfinished, None);
        assert_eq!(requests.next_held().map(|(index, _)| index), Some(second));
    }
}
