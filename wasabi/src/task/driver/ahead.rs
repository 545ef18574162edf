//! Messages read ahead of the requests that are in flight.

use crate::{
    Message, Request, RequestId, connection::few::Few, panics::discard, protocol::Inbound,
};

/// Messages read ahead while every slot is busy, so that pings and closes behind them are noticed. Reading also stops
/// at the size of the largest allowed message.
const READ_AHEAD: usize = 16;

/// Messages that were read while no slot was free. They are parsed already, because a cancellation needs no slot.
#[derive(Default)]
pub(super) struct ReadAhead {
    messages: Few<Ahead>,
    bytes: usize,
}

struct Ahead {
    inbound: Inbound,
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

    /// Adds a parsed message, which had this many bytes.
    pub(super) fn push(&mut self, inbound: Inbound, bytes: usize) {
        self.bytes += bytes;
        self.messages.made().push_back(Ahead { inbound, bytes });
    }

    /// Adds an answer, before everything that waits for a slot.
    pub(super) fn push_answer(&mut self, answer: Message) {
        let is_answer = |ahead: &&Ahead| matches!(ahead.inbound, Inbound::Answer(_));
        let before = self.messages.iter().take_while(is_answer).count();
        let bytes = answer.len();
        let inbound = Inbound::Answer(Box::new(answer));
        self.bytes += bytes;
        self.messages
            .made()
            .insert(before, Ahead { inbound, bytes });
    }

    /// Takes the first message, with its number of bytes.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Inbound, usize)> {
        let Ahead { inbound, bytes } = self.messages.pop_front()?;
        self.bytes -= bytes;
        Some((inbound, bytes))
    }

    /// Whether a request with this id waits.
    pub(super) fn has(&self, id: &RequestId) -> bool {
        let requests = self
            .messages
            .iter()
            .filter_map(|ahead| ahead.inbound.request());
        requests.into_iter().any(|request| request.id() == Some(id))
    }

    /// Takes out the first request with this id.
    pub(super) fn take(&mut self, id: &RequestId) -> Option<Request> {
        let at = self.messages.iter().position(|ahead| {
            let request = ahead.inbound.request();
            request.is_some_and(|request| request.id() == Some(id))
        })?;
        let Ahead { inbound, bytes } = self.messages.made().remove(at)?;
        self.bytes -= bytes;
        inbound.into_request()
    }

    /// Frees the memory that past messages have left.
    pub(super) fn give_back(&mut self) {
        self.messages.give_back();
    }

    pub(super) fn clear(&mut self) {
        for ahead in self.messages.drain() {
            discard(ahead.inbound);
        }
        self.bytes = 0;
    }

    #[cfg(fuzzing)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Envelope, testing};

    #[test]
    fn reading_ahead_ends_at_a_number_of_messages_or_of_bytes() {
        let mut ahead = ReadAhead::default();
        ahead.push(Inbound::Dropped, 8);
        assert!(ahead.is_full(8) && !ahead.is_full(9));
        for _ in 1..READ_AHEAD {
            assert!(!ahead.is_full(1000));
            ahead.push(Inbound::Dropped, 0);
        }
        assert!(ahead.is_full(1000));
        assert!(matches!(ahead.pop(), Some((Inbound::Dropped, 8))));
        assert!(!ahead.is_full(1));
    }

    #[test]
    fn a_message_that_waits_is_taken_out_by_its_id() {
        let client = testing::TestConnection::new();
        let mut ahead = ReadAhead::default();
        for id in ["1", "2", "1"] {
            let envelope = Envelope::new("key").id(RequestId::new(id));
            ahead.push(Inbound::Request(client.enveloped(envelope, "x")), 1);
        }
        let (one, two) = (RequestId::new("1"), RequestId::new("2"));
        assert!(ahead.take(&two).is_some() && ahead.take(&two).is_none());
        assert!(ahead.take(&one).is_some() && ahead.take(&one).is_some());
        assert!(ahead.is_empty() && !ahead.is_full(1));
    }
}
