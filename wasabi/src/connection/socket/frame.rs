//! Frames of RFC 6455, section 5: heads and masking.

use crate::{Close, CloseCode};

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Towards a client: its frames are masked.
    Server,
    /// Towards an upstream: our frames are masked.
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
    /// The first frame of a compressed message, with RSV1 set (RFC 7692, section 6).
    CompressedText = 0x41,
    CompressedBinary = 0x42,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            0x41 => Self::CompressedText,
            0x42 => Self::CompressedBinary,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }

    pub(super) fn is_compressed(self) -> bool {
        self as u8 & 0x40 != 0
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::CompressedText)
    }

    /// The opcode for the same message when it is compressed.
    pub(super) fn compressed(self) -> Self {
        match self {
            Self::Text => Self::CompressedText,
            Self::Binary => Self::CompressedBinary,
            other => other,
        }
    }
}

/// The maximum length of a frame's head.
pub(super) const MAX_HEAD: usize = 14;

/// The maximum payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

pub(super) const RESERVED: &str = "reserved bits are set";

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The message ends with this frame.
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    /// Zeros if the payload is not masked.
    pub(super) mask: [u8; 4],
    pub(super) len: u64,
}

impl Head {
    /// Parses a head that arrives at this `role`, and returns it with its length. `None` if bytes are missing.
    #[inline(always)]
    pub(super) fn parse(bytes: &[u8], role: Role) -> Result<Option<(Self, usize)>, Close> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = Opcode::parse(first & 0x7f).ok_or_else(|| match first & 0x70 {
            0 => broken("unknown opcode"),
            _ => broken(RESERVED),
        })?;
        let is_final = first & 0x80 != 0;
        let short_len = second & 0x7f;
        if opcode.is_control() && !is_final {
            return Err(broken("a control frame is fragmented"));
        }
        if opcode.is_control() && usize::from(short_len) > MAX_CONTROL {
            return Err(broken("a control frame is too long"));
        }
        let is_masked = second & 0x80 != 0;
        if is_masked != (role == Role::Server) {
            return Err(broken(match role {
                Role::Server => "a frame of a client is not masked",
                Role::Client => "a frame of a server is masked",
            }));
        }
        let (len, rest) = match short_len {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u16::from_be_bytes(*len).into(), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            len => (len.into(), rest),
        };
        if len >> 63 != 0 {
            return Err(broken("invalid frame length"));
        }
        let (mask, rest) = match (is_masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((mask, rest))) => (*mask, rest),
            (true, None) => return Ok(None),
        };
        let head = Self {
            is_final,
            opcode,
            mask,
            len,
        };
        Ok(Some((head, bytes.len() - rest.len())))
    }

    /// Appends the head of a frame that is a complete message or a control frame.
    pub(super) fn write(out: &mut Vec<u8>, opcode: Opcode, len: usize, mask: Option<[u8; 4]>) {
        let first = 0x80 | opcode as u8;
        let is_masked = if mask.is_some() { 0x80 } else { 0 };
        if len < 126 {
            out.extend_from_slice(&[first, is_masked | len as u8]);
        } else if let Ok(len) = u16::try_from(len) {
            let [a, b] = len.to_be_bytes();
            out.extend_from_slice(&[first, is_masked | 126, a, b]);
        } else {
            out.extend_from_slice(&[first, is_masked | 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
        if let Some(mask) = mask {
            out.extend_from_slice(&mask);
        }
    }
}

pub(super) fn broken(rule: &'static str) -> Close {
    Close::new(CloseCode::PROTOCOL_ERROR, rule)
}

/// Masks a payload, or unmasks it (RFC 6455, section 5.3).
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    if wide == 0 {
        return;
    }
    let flip = |words: &mut [[u8; 8]]| {
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    };
    // In blocks of a fixed size: on its own, the compiler optimizes for large payloads only.
    let (blocks, rest) = payload.as_chunks_mut::<32>();
    for block in blocks {
        flip(block.as_chunks_mut().0);
    }
    let (words, rest) = rest.as_chunks_mut();
    flip(words);
    for (byte, mask) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// The close for a message that is too large.
pub(super) fn too_big(max: usize) -> Close {
    Close::new(
        CloseCode::TOO_BIG,
        format!("a message may have at most {max} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            len in prop_oneof![0..300_usize, 65_000..66_000_usize],
            mask in any::<[u8; 4]>(),
            is_masked: bool,
        ) {
            let mut bytes = Vec::new();
            Head::write(&mut bytes, Opcode::Binary, len, is_masked.then_some(mask));
            let role = if is_masked { Role::Server } else { Role::Client };
            let head = Head {
                is_final: true,
                opcode: Opcode::Binary,
                mask: if is_masked { mask } else { [0; 4] },
                len: len as u64,
            };
            for end in 0..bytes.len() {
                prop_assert_eq!(Head::parse(&bytes[..end], role).expect("a head"), None);
            }
            let size = bytes.len();
            prop_assert!(size <= MAX_HEAD);
            bytes.extend_from_slice(b"payload");
            prop_assert_eq!(Head::parse(&bytes, role).expect("a head"), Some((head, size)));
        }

        #[test]
        fn each_byte_is_masked_with_its_part_of_the_mask(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            mask in any::<[u8; 4]>(),
        ) {
            let mut masked = payload.clone();
            apply_mask(&mut masked, mask);
            for (index, byte) in payload.iter().enumerate() {
                prop_assert_eq!(masked[index], byte ^ mask[index % 4]);
            }
        }
    }
}
