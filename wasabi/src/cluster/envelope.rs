//! What travels between the nodes of a cluster: a parcel or a note, and who has sent it.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the version of this form, 1 |
//! | 16 | the sender |
//! | 1 | what follows: 0 a text, 1 a binary message, 2 a close; from 16 a note, see `nodes/note.rs` |
//! | all others | the bytes of the message; the close code, in network order, and the reason; or the note |

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    Close, CloseCode, Message, Text,
    connection::registry::{address::NodeId, elsewhere::Parcel},
};

const VERSION: u8 = 1;
const TEXT: u8 = 0;
const BINARY: u8 = 1;
const CLOSE: u8 = 2;
const HEAD: usize = 18;

/// What was received.
pub(super) enum Received {
    /// From the node itself.
    Echo,
    Parcel(Sealed),
    /// From something that is not a node, or from a newer version of the library.
    Malformed,
}

/// A parcel that nobody has looked into.
pub(super) struct Sealed(Bytes);

pub(super) fn seal(from: NodeId, parcel: &Parcel) -> Bytes {
    let head = |kind, rest: usize| {
        let mut bytes = BytesMut::with_capacity(HEAD + rest);
        bytes.put_u8(VERSION);
        bytes.put_slice(from.as_bytes());
        bytes.put_u8(kind);
        bytes
    };
    let bytes = match parcel {
        Parcel::Message(message) => {
            let kind = if message.is_text() { TEXT } else { BINARY };
            let mut bytes = head(kind, message.len());
            bytes.put_slice(message.as_bytes());
            bytes
        }
        Parcel::Close(close) => {
            let mut bytes = head(CLOSE, 2 + close.reason.len());
            bytes.put_u16(close.code.as_u16());
            bytes.put_slice(close.reason.as_bytes());
            bytes
        }
    };
    bytes.freeze()
}

/// What nodes tell each other, of this kind and with these parts.
pub(super) fn seal_note(from: NodeId, kind: u8, parts: &[&[u8]]) -> Bytes {
    let rest: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = BytesMut::with_capacity(HEAD + rest);
    bytes.put_u8(VERSION);
    bytes.put_slice(from.as_bytes());
    bytes.put_u8(kind);
    for part in parts {
        bytes.put_slice(part);
    }
    bytes.freeze()
}

pub(super) fn receive(bytes: Bytes, node: NodeId) -> Received {
    match bytes.get(..HEAD) {
        Some([VERSION, from @ .., _]) if from == node.as_bytes() => Received::Echo,
        Some([VERSION, ..]) => Received::Parcel(Sealed(bytes)),
        _ => Received::Malformed,
    }
}

/// What was sealed, whoever has done so.
pub(super) fn open(bytes: Bytes) -> Option<Parcel> {
    match bytes.get(..HEAD) {
        Some([VERSION, ..]) => Sealed(bytes).open(),
        _ => None,
    }
}

impl Sealed {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sender, the kind and the rest of a note; `None` if it is malformed.
    pub(super) fn note(mut self) -> Option<(NodeId, u8, Bytes)> {
        let from = self.0.get(1..HEAD - 1)?.try_into().ok()?;
        let kind = *self.0.get(HEAD - 1)?;
        Some((NodeId::from_bytes(from), kind, self.0.split_off(HEAD)))
    }

    /// The parcel; `None` if it is malformed.
    pub(super) fn open(mut self) -> Option<Parcel> {
        let kind = *self.0.get(HEAD - 1)?;
        let mut rest = self.0.split_off(HEAD);
        match kind {
            TEXT => Some(Parcel::Message(Text::try_from(rest).ok()?.into())),
            BINARY => Some(Parcel::Message(Message::binary(rest))),
            CLOSE => {
                let code = match rest.try_get_u16().ok()? {
                    1005 => CloseCode::NO_STATUS,
                    1006 => CloseCode::ABNORMAL,
                    code => CloseCode::try_from(code).ok()?,
                };
                Some(Parcel::Close(Close::new(code, Text::try_from(rest).ok()?)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: Bytes, node: NodeId) -> Option<Parcel> {
        match receive(bytes, node) {
            Received::Parcel(sealed) => sealed.open(),
            Received::Echo | Received::Malformed => None,
        }
    }

    #[test]
    fn parcels_arrive_as_they_were_at_every_node_but_the_sender() {
        let (one, other) = (NodeId::random(), NodeId::random());
        for parcel in [
            Parcel::Message(Message::text("é")),
            Parcel::Message(Message::text("")),
            Parcel::Message(Message::binary(vec![0, 255])),
            Parcel::Message(Message::binary("")),
            Parcel::Close(Close::new(CloseCode::POLICY, "é")),
            Parcel::Close(CloseCode::NO_STATUS.into()),
            Parcel::Close(CloseCode::ABNORMAL.into()),
        ] {
            let bytes = seal(one, &parcel);
            assert!(matches!(receive(bytes.clone(), one), Received::Echo));
            assert_eq!(opened(bytes, other), Some(parcel));
        }
    }

    #[test]
    fn what_is_not_from_a_node_is_refused() {
        let node = NodeId::random();
        let good = seal(NodeId::random(), &Parcel::Message(Message::text("é")));
        for cut in 0..HEAD {
            assert_eq!(opened(good.slice(..cut), node), None);
        }
        assert_eq!(opened(good.slice(..good.len() - 1), node), None, "no UTF-8");
        // As a close, it would have a code that nobody may send.
        for (at, byte) in [(0, 2), (HEAD - 1, 9), (HEAD - 1, CLOSE)] {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            assert_eq!(opened(bytes.into(), node), None);
        }
    }
}
