//! The client's frames, made beforehand, and a check of the server's.

use super::{Load, Payload};

/// The messages that one connection sends in turns, laid out twice in a row: any run of up to all of them is
/// contiguous.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    payloads: Vec<Vec<u8>>,
    wire: Vec<u8>,
    pub(crate) frame_len: usize,
}

impl Ring {
    pub(crate) fn new(connection: usize, load: &Load) -> Self {
        let payloads: Vec<Vec<u8>> = (0..load.depth)
            .map(|index| payload(load.payload, connection, index, load.size))
            .collect();
        let opcode = opcode(load.payload);
        let mut wire = Vec::new();
        for (index, body) in payloads.iter().chain(&payloads).enumerate() {
            let number = (connection * load.depth + index % load.depth) as u32 + 1;
            let mask = (0x9e37_79b9_u32.wrapping_mul(number) | 1).to_be_bytes();
            push_frame(&mut wire, opcode, mask, body);
        }
        let frame_len = wire.len() / (2 * load.depth);
        Self {
            payloads,
            wire,
            frame_len,
        }
    }

    /// The bytes of `count` messages from message `first` on, less the first `skip` bytes.
    pub(crate) fn wire(&self, first: u64, count: usize, skip: usize) -> &[u8] {
        let start = self.index(first) * self.frame_len;
        let count = count.min(self.payloads.len());
        &self.wire[start + skip..start + count * self.frame_len]
    }

    pub(crate) fn payload(&self, message: u64) -> &[u8] {
        &self.payloads[self.index(message)]
    }

    fn index(&self, message: u64) -> usize {
        (message % self.payloads.len() as u64) as usize
    }
}

pub(crate) fn opcode(payload: Payload) -> u8 {
    match payload {
        Payload::Text | Payload::Json => 1,
        Payload::Binary => 2,
    }
}

/// ASCII that names its connection and its place in the ring.
fn payload(kind: Payload, connection: usize, index: usize, size: usize) -> Vec<u8> {
    let filler = (0..size).map(|i| b'a' + ((i * 7 + connection + index) % 26) as u8);
    let mut body = match kind {
        Payload::Text | Payload::Binary => format!("{connection:06}.{index:05} ").into_bytes(),
        Payload::Json => {
            format!(r#"{{"id":{index},"action":"route.{:02}","from":"{connection:06}","params":{{"price":101.25,"text":""#, index % 16)
                .into_bytes()
        }
    };
    let end: &[u8] = if kind == Payload::Json {
        br#""}}"#
    } else {
        b""
    };
    body.extend(filler);
    body.truncate(size.saturating_sub(end.len()));
    body.extend_from_slice(end);
    body
}

fn push_frame(wire: &mut Vec<u8>, opcode: u8, mask: [u8; 4], body: &[u8]) {
    wire.push(0x80 | opcode);
    match body.len() {
        len @ 0..126 => wire.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            wire.push(0x80 | 126);
            wire.extend((len as u16).to_be_bytes());
        }
        len => {
            wire.push(0x80 | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    wire.extend(mask);
    wire.extend(body.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
}

/// Reads the server's frames and compares every byte of every reply with what it must be; copies nothing.
#[derive(Debug, Default)]
pub(crate) struct Check {
    header: [u8; 14],
    header_len: usize,
    /// Payload of the current frame that is still to come.
    left: u64,
    in_frame: bool,
    is_control: bool,
    is_final: bool,
    /// A message has begun and has not ended.
    in_message: bool,
    /// Bytes of the current message so far.
    len: usize,
    is_wrong: bool,
    pub(crate) received: u64,
    pub(crate) wrong: u64,
    pub(crate) closed: bool,
}

impl Check {
    /// Takes what has been read. `expected` is the reply of a number.
    pub(crate) fn feed<'e>(
        &mut self,
        mut data: &[u8],
        opcode: u8,
        expected: impl Fn(u64) -> &'e [u8],
    ) -> Result<(), &'static str> {
        loop {
            if !self.in_frame {
                if data.is_empty() || !self.header(&mut data) {
                    return Ok(());
                }
                self.start(opcode)?;
            }
            let count = self.left.min(data.len() as u64) as usize;
            if !self.is_control && count > 0 {
                let reply = expected(self.received);
                self.is_wrong |= reply.get(self.len..self.len + count) != Some(&data[..count]);
                self.len += count;
            }
            self.left -= count as u64;
            data = &data[count..];
            if self.left > 0 {
                return Ok(());
            }
            self.in_frame = false;
            if !self.is_control && self.is_final {
                let is_wrong = self.is_wrong || self.len != expected(self.received).len();
                self.wrong += u64::from(is_wrong);
                self.received += 1;
                self.in_message = false;
            }
        }
    }

    /// Takes bytes of a header; whether it is complete.
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

    fn start(&mut self, expected_opcode: u8) -> Result<(), &'static str> {
        let [first, second, rest @ ..] = self.header;
        if first & 0x70 != 0 || second & 0x80 != 0 {
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
                self.is_wrong = opcode != expected_opcode;
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

    fn load(payload: Payload, size: usize) -> Load {
        Load {
            connections: 1,
            depth: 4,
            payload,
            size,
            answer: None,
        }
    }

    #[test]
    fn replies_are_checked_however_they_are_split() {
        let mut wire = vec![
            0x81, 3, b'a', b'b', b'c', 0x89, 1, b'!', 0x01, 1, b'a', 0x80, 2, b'b', b'c',
        ];
        wire.extend([
            0x81, 3, b'a', b'x', b'c', 0x82, 3, b'a', b'b', b'c', 0x81, 2, b'a', b'b', 0x81, 0,
        ]);
        for step in 1..wire.len() {
            let mut check = Check::default();
            for chunk in wire.chunks(step) {
                check.feed(chunk, 1, |_| b"abc").expect("frames");
            }
            assert_eq!((check.received, check.wrong), (6, 4));
        }
    }

    #[test]
    fn runs_of_frames_are_contiguous() {
        let ring = Ring::new(3, &load(Payload::Binary, 300));
        assert_eq!(ring.frame_len, 300 + 8);
        assert_eq!(ring.wire(7, 4, 10).len(), 4 * 308 - 10);
        assert_eq!(ring.wire(3, 2, 0)[308..], *ring.wire(0, 1, 0));
    }

    #[test]
    fn json_messages_are_json_of_the_size_that_was_asked_for() {
        let ring = Ring::new(42, &load(Payload::Json, 128));
        for message in 0..4 {
            let body = ring.payload(message);
            assert_eq!(body.len(), 128);
            let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(json["action"], format!("route.{message:02}"));
        }
    }
}
