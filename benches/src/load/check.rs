//! Checks the server's frames.

use super::{deflated, frames::Ring};

/// Reads the server's frames and compares every byte of every reply with the expected one. Replies in order are
/// compared without copying.
#[derive(Debug, Default)]
pub(crate) struct Check {
    header: [u8; 14],
    header_len: usize,
    /// The remaining payload bytes of the current frame.
    left: u64,
    in_frame: bool,
    is_control: bool,
    is_final: bool,
    /// Whether a message has begun and has not ended.
    in_message: bool,
    /// The bytes of the current message so far.
    len: usize,
    is_wrong: bool,
    /// The current message so far, if replies may arrive in any order.
    body: Vec<u8>,
    /// Whether the current message is compressed.
    is_compressed: bool,
    /// The last compressed message that was inflated and found right.
    inflated: Vec<u8>,
    /// How often each message of the ring has been answered, if replies may arrive in any order.
    answered: Vec<u64>,
    pub(crate) received: u64,
    pub(crate) wrong: u64,
    pub(crate) closed: bool,
}

impl Check {
    /// Takes data that was read after `sent` messages had been sent.
    pub(crate) fn feed(
        &mut self,
        mut data: &[u8],
        ring: &Ring,
        sent: u64,
    ) -> Result<(), &'static str> {
        loop {
            if !self.in_frame {
                if data.is_empty() || !self.header(&mut data) {
                    return Ok(());
                }
                self.start(ring)?;
            }
            let count = self.left.min(data.len() as u64) as usize;
            if !self.is_control && count > 0 {
                self.payload(&data[..count], ring);
            }
            self.left -= count as u64;
            data = &data[count..];
            if self.left > 0 {
                return Ok(());
            }
            self.in_frame = false;
            if !self.is_control && self.is_final {
                self.in_message = false;
                if ring.ping.is_some_and(|ping| ping == self.body) {
                    continue;
                }
                let is_right = !self.is_wrong && self.is_reply(ring, sent);
                self.wrong += u64::from(!is_right);
                self.received += 1;
            }
        }
    }

    fn payload(&mut self, data: &[u8], ring: &Ring) {
        let end = self.len + data.len();
        if self.is_compressed {
            self.body.extend_from_slice(data);
        } else if ring.in_order {
            self.is_wrong |= ring.reply(self.received).get(self.len..end) != Some(data);
        } else if !ring.replies.iter().any(|reply| end <= reply.len()) {
            self.is_wrong = true;
        } else {
            self.body.extend_from_slice(data);
        }
        self.len = end;
    }

    /// Whether the message that has just ended is an expected reply.
    fn is_reply(&mut self, ring: &Ring, sent: u64) -> bool {
        if self.is_compressed {
            return self.inflates_to(ring.reply(self.received));
        }
        if ring.in_order {
            return self.len == ring.reply(self.received).len();
        }
        self.answered.resize(ring.replies.len(), 0);
        let depth = ring.replies.len() as u64;
        let mut messages = (0..depth).zip(&ring.replies).zip(&mut self.answered);
        let found = messages.find(|((_, reply), _)| **reply == self.body);
        found.is_some_and(|((index, _), answered)| {
            *answered += 1;
            // Message `index`, and every `depth`th after it.
            *answered <= (sent + depth - 1 - index) / depth
        })
    }

    /// Whether the compressed message that has just ended is this one.
    fn inflates_to(&mut self, reply: &[u8]) -> bool {
        if self.body == self.inflated {
            return true;
        }
        let is_right = deflated::inflates_to(&self.body, reply);
        if is_right {
            self.inflated.clone_from(&self.body);
        }
        is_right
    }

    /// Takes bytes of a header; returns whether it is complete.
    fn header(&mut self, data: &mut &[u8]) -> bool {
        loop {
            let need = match (self.header_len, self.header[1] & 0x7f) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if self.header_len >= need {
                return true;
            }
            let count = (need - self.header_len).min(data.len());
            if count == 0 {
                return false;
            }
            self.header[self.header_len..][..count].copy_from_slice(&data[..count]);
            self.header_len += count;
            *data = &data[count..];
        }
    }

    fn start(&mut self, ring: &Ring) -> Result<(), &'static str> {
        let [first, second, rest @ ..] = self.header;
        let allowed = match ring.is_deflated {
            true => deflated::COMPRESSED,
            false => 0,
        };
        if first & 0x70 & !allowed != 0 || second & 0x80 != 0 {
            return Err("a frame of the server has a wrong header");
        }
        self.left = match second {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => rest[..8]
                .iter()
                .fold(0, |len, byte| len << 8 | u64::from(*byte)),
            len => u64::from(len),
        };
        self.in_frame = true;
        self.header_len = 0;
        self.is_control = first & 0x08 != 0;
        self.is_final = first & 0x80 != 0;
        match (first & 0x0f, self.in_message) {
            (8, _) => self.closed = true,
            (9 | 10, _) => {}
            (opcode @ (1 | 2), false) => {
                self.in_message = true;
                self.len = 0;
                self.body.clear();
                self.is_wrong = opcode != ring.opcode;
                self.is_compressed = first & deflated::COMPRESSED != 0;
            }
            (0, true) => {}
            _ => return Err("a frame of the server has an opcode that does not fit"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_checked_however_they_are_split() {
        let ring = Ring {
            replies: vec![b"abc".to_vec()],
            opcode: 1,
            in_order: true,
            ..Ring::default()
        };
        let mut wire = vec![
            0x81, 3, b'a', b'b', b'c', 0x89, 1, b'!', 0x01, 1, b'a', 0x80, 2, b'b', b'c',
        ];
        wire.extend([
            0x81, 3, b'a', b'x', b'c', 0x82, 3, b'a', b'b', b'c', 0x81, 2, b'a', b'b', 0x81, 0,
        ]);
        for step in 1..wire.len() {
            let mut check = Check::default();
            for chunk in wire.chunks(step) {
                check.feed(chunk, &ring, 6).expect("frames");
            }
            assert_eq!((check.received, check.wrong), (6, 4));
        }
    }

    #[test]
    fn in_any_order_each_message_has_one_reply() {
        let ring = Ring {
            replies: vec![b"a".to_vec(), b"bc".to_vec()],
            opcode: 1,
            ping: Some(b"2"),
            ..Ring::default()
        };
        let [a, bc, ping]: [&[u8]; 3] =
            [&[0x81, 1, b'a'], &[0x81, 2, b'b', b'c'], &[0x81, 1, b'2']];
        let wrong = |replies: &[&[u8]], sent| {
            let mut check = Check::default();
            for byte in replies.concat() {
                check.feed(&[byte], &ring, sent).expect("frames");
            }
            check.wrong
        };
        assert_eq!(wrong(&[bc, ping, a], 2), 0);
        assert_eq!(wrong(&[bc, bc], 2), 1);
        assert_eq!(wrong(&[bc, a, bc, a], 4), 0);
        assert_eq!(wrong(&[a, a], 3), 0);
        assert_eq!(wrong(&[a, bc, bc], 3), 1);
        assert_eq!(
            wrong(&[&[0x81, 1, b'x'], &[0x81, 4, b'a', b'b', b'c', b'd']], 2),
            2
        );
    }
}
