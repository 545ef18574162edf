//! What nodes tell each other, as it travels behind the head of the envelope.
//!
//! | kind | note | bytes |
//! |---|---|---|
//! | 16 | a beat | 8: its number |
//! | 17 | a hello, which others answer with a beat | 8: its number |
//! | 18 | a good-bye | 8: its number |
//! | 19 | a call | 16: its id; 4: milliseconds until the caller gives up; 2 and so many: the registry; the question |
//! | 20 | an answer | 16: the id of the call; 1: the outcome; the answer |
//!
//! Numbers are in network order. Those of a node's beats, hellos and good-byes count up together.

use bytes::{Buf, Bytes};

use crate::{
    cluster::envelope::seal_note,
    connection::registry::address::{NodeId, random},
};

const BEAT: u8 = 16;
const HELLO: u8 = 17;
const BYE: u8 = 18;
const CALL: u8 = 19;
const ANSWER: u8 = 20;

/// Identifies a call. Nobody can guess it, so that only who was asked can answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::cluster) struct CallId([u8; 16]);

impl CallId {
    pub(in crate::cluster) fn random() -> Self {
        Self(random())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) enum Note {
    Beat(u64),
    Hello(u64),
    Bye(u64),
    Call(Call),
    Answer(CallId, Outcome),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) struct Call {
    pub(in crate::cluster) id: CallId,
    /// When the caller gives up.
    pub(in crate::cluster) within_ms: u32,
    /// The name of the registry that is asked.
    pub(in crate::cluster) registry: String,
    pub(in crate::cluster) question: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) enum Outcome {
    Answer(Bytes),
    /// The node has no such registry.
    NoRegistry,
    /// The node cannot read the question.
    Unreadable,
}

impl Note {
    pub(in crate::cluster) fn seal(&self, from: NodeId) -> Bytes {
        match self {
            Self::Beat(number) => seal_note(from, BEAT, &[&number.to_be_bytes()]),
            Self::Hello(number) => seal_note(from, HELLO, &[&number.to_be_bytes()]),
            Self::Bye(number) => seal_note(from, BYE, &[&number.to_be_bytes()]),
            Self::Call(call) => {
                // The names of registries in a cluster are shorter.
                let length = u16::try_from(call.registry.len()).unwrap_or(u16::MAX);
                let parts = [
                    &call.id.0[..],
                    &call.within_ms.to_be_bytes(),
                    &length.to_be_bytes(),
                    call.registry.as_bytes(),
                    &call.question,
                ];
                seal_note(from, CALL, &parts)
            }
            Self::Answer(call, outcome) => {
                let (kind, answer) = match outcome {
                    Outcome::Answer(answer) => (0, &answer[..]),
                    Outcome::NoRegistry => (1, &[][..]),
                    Outcome::Unreadable => (2, &[][..]),
                };
                seal_note(from, ANSWER, &[&call.0, &[kind], answer])
            }
        }
    }

    /// The note of this kind; `None` if it is malformed, or of a newer version.
    pub(in crate::cluster) fn read(kind: u8, mut bytes: Bytes) -> Option<Self> {
        let number = |mut bytes: Bytes| bytes.try_get_u64().ok();
        match kind {
            BEAT => number(bytes).map(Self::Beat),
            HELLO => number(bytes).map(Self::Hello),
            BYE => number(bytes).map(Self::Bye),
            CALL => {
                let id = call_id(&mut bytes)?;
                let within_ms = bytes.try_get_u32().ok()?;
                let length = usize::from(bytes.try_get_u16().ok()?);
                if length > bytes.len() {
                    return None;
                }
                let question = bytes.split_off(length);
                let registry = std::str::from_utf8(&bytes).ok()?.to_owned();
                Some(Self::Call(Call {
                    id,
                    within_ms,
                    registry,
                    question,
                }))
            }
            ANSWER => {
                let id = call_id(&mut bytes)?;
                let outcome = match bytes.try_get_u8().ok()? {
                    0 => Outcome::Answer(bytes),
                    1 => Outcome::NoRegistry,
                    2 => Outcome::Unreadable,
                    _ => return None,
                };
                Some(Self::Answer(id, outcome))
            }
            _ => None,
        }
    }
}

fn call_id(bytes: &mut Bytes) -> Option<CallId> {
    let id = bytes.get(..16)?.try_into().ok()?;
    bytes.advance(16);
    Some(CallId(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::envelope::{Received, receive};

    fn read(bytes: Bytes) -> Option<Note> {
        match receive(bytes, NodeId::random()) {
            Received::Parcel(sealed) => {
                let (_, kind, rest) = sealed.note()?;
                Note::read(kind, rest)
            }
            Received::Echo | Received::Malformed => None,
        }
    }

    #[test]
    fn notes_arrive_as_they_were_and_cut_ones_are_refused() {
        let node = NodeId::random();
        let call = Call {
            id: CallId::random(),
            within_ms: 1000,
            registry: "é".to_owned(),
            question: Bytes::from_static(b"?"),
        };
        let answer = Outcome::Answer(Bytes::from_static(b"!"));
        for (note, least) in [
            (Note::Beat(1), 8),
            (Note::Hello(u64::MAX), 8),
            (Note::Bye(0), 8),
            (Note::Call(call.clone()), 24),
            (Note::Answer(call.id, answer), 17),
            (Note::Answer(call.id, Outcome::NoRegistry), 17),
            (Note::Answer(call.id, Outcome::Unreadable), 17),
        ] {
            let bytes = note.seal(node);
            assert_eq!(read(bytes.clone()), Some(note));
            for cut in 0..18 + least {
                assert_eq!(read(bytes.slice(..cut)), None);
            }
        }
    }

    #[test]
    fn notes_that_are_not_known_are_refused() {
        let node = NodeId::random();
        let good = Note::Beat(1).seal(node);
        let newer = |at: usize, value| {
            let mut bytes = good.to_vec();
            bytes[at] = value;
            read(bytes.into())
        };
        assert_eq!(newer(0, 2), None, "another version");
        assert_eq!(newer(17, 21), None, "another kind");
        let mut answer = Note::Answer(CallId::random(), Outcome::Unreadable)
            .seal(node)
            .to_vec();
        answer[34] = 3;
        assert_eq!(read(answer.into()), None, "another outcome");
    }
}
