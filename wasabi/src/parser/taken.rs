//! What the gateway takes out of an envelope.

use super::{Cancels, Duplicate, Envelope};
use crate::{
    Error, Message,
    request::{Cancelled, KeyRepr, RequestParts},
};

impl Envelope<'_> {
    /// Whether the message cancels requests.
    #[inline(always)]
    pub(crate) fn cancels(&self) -> bool {
        self.cancels != Cancels::No
    }

    /// What the message cancels, and what is left of it, if it is a request too.
    #[cold]
    pub(crate) fn take_cancelled(mut self) -> (Option<Cancelled>, Option<Self>) {
        let answers = self.wants_reply;
        let cancelled = self.id.take().map(|id| Cancelled { id, answers });
        let is_request = self.cancels == Cancels::Besides;
        self.cancels = Cancels::No;
        (cancelled, is_request.then_some(self))
    }

    /// The part of this message that targets get, if it is not all of it.
    pub(crate) fn part_of(&self, message: &Message) -> Option<Message> {
        let part = self.part?;
        match (KeyRepr::of(part, message), message) {
            (KeyRepr::Slice(range), _) => message.slice(range),
            (_, Message::Text(_)) => Some(Message::text(part.to_owned())),
            (_, Message::Binary(_)) => Some(Message::binary(part.to_owned())),
        }
    }

    pub(crate) fn is_unique(&self) -> Option<Duplicate> {
        self.unique
    }

    #[inline(always)]
    pub(crate) fn take_invalid(&mut self) -> Option<Error> {
        self.invalid.take()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn into_test_parts(self) -> (String, Option<crate::RequestId>, Option<Error>) {
        (self.key.into_owned(), self.id, self.invalid)
    }

    /// Whether it is a valid request of the whole message and nothing else, as most are.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        let is_special = self.part.is_some() || self.unique.is_some();
        !self.cancels() && !is_special && self.invalid.is_none()
    }

    /// What a request of this message keeps.
    #[inline(always)]
    pub(crate) fn into_parts(self, message: &Message) -> RequestParts {
        RequestParts {
            key: match self.is_static {
                Some(key) => KeyRepr::Static(key),
                None => KeyRepr::of(&self.key, message),
            },
            id: self.id,
            content_type: self.content_type,
            value: self.value,
            wants_reply: self.wants_reply,
            params: self.params.map(|params| KeyRepr::of(&params, message)),
        }
    }

    /// The same, taken from where the envelope is: moving all of it costs more. Where the compiler sees that most of it is
    /// empty, as for `Raw`, it is the other way round.
    #[inline(always)]
    pub(crate) fn take_parts(&mut self, message: &Message) -> RequestParts {
        let params = self.params.as_ref();
        RequestParts {
            key: match self.is_static {
                Some(key) => KeyRepr::Static(key),
                None => KeyRepr::of(&self.key, message),
            },
            params: params.map(|params| KeyRepr::of(params, message)),
            id: self.id.take(),
            content_type: self.content_type,
            value: self.value.take(),
            wants_reply: self.wants_reply,
        }
    }
}
