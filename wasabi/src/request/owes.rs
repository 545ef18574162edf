//! What a request owes its client.

/// Two bits, so that setting one costs no branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owes(u8);

const REPLY: u8 = 1;
const SILENCE: u8 = 2;

impl Owes {
    /// A reply, or else nothing at all: neither a reply nor an error.
    #[inline]
    pub(crate) const fn of(wants_reply: bool) -> Self {
        Self(match wants_reply {
            true => REPLY,
            false => SILENCE,
        })
    }

    /// Sets whether a reply is owed by a request that may have one.
    #[inline]
    pub(crate) fn set(&mut self, owes_reply: bool) {
        let silence = self.0 & SILENCE;
        self.0 = silence | (u8::from(owes_reply) & !(silence >> 1));
    }

    /// Whether the client waits for a reply.
    #[inline]
    pub(crate) fn is_reply(self) -> bool {
        self.0 == REPLY
    }

    /// Whether nothing goes back, not even an error.
    #[inline]
    pub(crate) fn is_silence(self) -> bool {
        self.0 == SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_cannot_owe_a_reply_that_the_client_does_not_want() {
        let mut owes = Owes::of(true);
        assert!(owes.is_reply() && !owes.is_silence());
        owes.set(false);
        assert!(!owes.is_reply() && !owes.is_silence());
        owes = Owes::of(false);
        owes.set(true);
        assert!(!owes.is_reply() && owes.is_silence());
    }
}
