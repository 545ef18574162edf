//! Precomputes the client's frames, and checks the server's.

use super::{Load, Payload, socket_io};

/// The messages that one connection sends in turn, laid out twice in a row so that any run of up to all of them is
/// contiguous, with the expected replies.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    wire: Vec<u8>,
    pub(crate) frame_len: usize,
    depth: usize,
    /// One for each message, or one for all.
    replies: Vec<Vec<u8>>,
    opcode: u8,
    /// Whether replies arrive in the order of their messages.
    in_order: bool,
    /// A message that is not a reply.
    ping: Option<&'static [u8]>,
}

impl Ring {
    pub(crate) fn new(connection: usize, load: &Load) -> Self {
        let opcode = match load.payload {
            Payload::Binary => 2,
            Payload::Text
            | Payload::Json
            | Payload::JsonRpc
            | Payload::JsonRpcBatch
            | Payload::SocketIo => 1,
        };
        let (bodies, replies): (Vec<_>, Vec<_>) = (0..load.depth)
            .map(|index| exchange(load.payload, connection, index, load.size))
            .unzip();
        let mut wire = Vec::new();
        for (index, body) in bodies.iter().chain(&bodies).enumerate() {
            let number = (connection * load.depth + index % load.depth) as u32 + 1;
            let mask = (0x9e37_79b9_u32.wrapping_mul(number) | 1).to_be_bytes();
            push_frame(&mut wire, opcode, mask, body);
        }
        Self {
            frame_len: wire.len() / (2 * load.depth),
            wire,
            depth: load.depth,
            replies: match load.answer {
                Some(answer) => vec![answer.into()],
                None => replies,
            },
            opcode,
            in_order: !matches!(
                load.payload,
                Payload::JsonRpc | Payload::JsonRpcBatch | Payload::SocketIo
            ),
            ping: (load.payload == Payload::SocketIo).then_some(socket_io::PING),
        }
    }

    /// The bytes of `count` messages starting with message `first`, without the first `skip` bytes.
    pub(crate) fn wire(&self, first: u64, count: usize, skip: usize) -> &[u8] {
        let start = (first % self.depth as u64) as usize * self.frame_len;
        let count = count.min(self.depth);
        &self.wire[start + skip..start + count * self.frame_len]
    }

    fn reply(&self, message: u64) -> &[u8] {
        &self.replies[(message % self.replies.len() as u64) as usize]
    }
}

/// A message, which names its connection and its place in the ring, and the expected reply.
fn exchange(kind: Payload, connection: usize, index: usize, size: usize) -> (Vec<u8>, Vec<u8>) {
    if kind == Payload::JsonRpcBatch {
        return batch(connection, index, size);
    }
    let route = index % 16;
    let (start, end) = match kind {
        Payload::Text | Payload::Binary => (format!("{connection:06}.{index:05} "), ""),
        Payload::Json => (
            format!(
                r#"{{"id":{index},"action":"route.{route:02}","from":"{connection:06}","params":{{"price":101.25,"text":""#
            ),
            r#""}}"#,
        ),
        Payload::JsonRpc | Payload::JsonRpcBatch | Payload::SocketIo => (
            format!(r#"{{"from":"{connection:06}","price":101.25,"text":""#),
            r#""}"#,
        ),
    };
    let filler = (0..size).map(|i| (b'a' + ((i * 7 + connection + index) % 26) as u8) as char);
    let mut body = start;
    body.extend(filler);
    body.truncate(size.saturating_sub(end.len()));
    body += end;
    // The same length for every message.
    let id = 100_000 + index;
    let (sent, reply) = match kind {
        Payload::Text | Payload::Binary | Payload::Json => (body.clone(), body),
        Payload::JsonRpc | Payload::JsonRpcBatch => (
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"route.{route:02}","params":{body}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{body}}}"#),
        ),
        Payload::SocketIo => (
            format!(r#"42{id}["route.{route:02}",{body}]"#),
            format!("43{id}[{body}]"),
        ),
    };
    (sent.into_bytes(), reply.into_bytes())
}

/// Several calls in one message.
fn batch(connection: usize, index: usize, size: usize) -> (Vec<u8>, Vec<u8>) {
    let calls = Payload::JsonRpcBatch.requests();
    let calls = index * calls..(index + 1) * calls;
    let (sent, replies): (Vec<_>, Vec<_>) = calls
        .map(|index| exchange(Payload::JsonRpc, connection, index, size))
        .unzip();
    let array = |elements: Vec<Vec<u8>>| [b"[", &*elements.join(&b","[..]), b"]"].concat();
    (array(sent), array(replies))
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
                self.start(ring.opcode)?;
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
        if ring.in_order {
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
                self.body.clear();
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
    use crate::load::Flood;

    fn load(payload: Payload, size: usize) -> Load {
        Load {
            connections: 1,
            depth: 4,
            payload,
            size,
            answer: None,
            flood: Flood::Nothing,
        }
    }

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
            let body = ring.reply(message);
            assert_eq!(body.len(), 128);
            let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(json["action"], format!("route.{message:02}"));
        }
    }

    #[test]
    fn the_reply_of_a_call_has_its_number_and_its_arguments() {
        let (sent, reply) = exchange(Payload::JsonRpc, 42, 17, 96);
        let json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
        let (sent, reply) = (json(&sent), json(&reply));
        assert_eq!(sent["method"], "route.01");
        assert_eq!(sent["params"].to_string().len(), 96);
        assert_eq!(
            (&sent["id"], &sent["params"]),
            (&reply["id"], &reply["result"])
        );
        let (sent, reply) = exchange(Payload::JsonRpcBatch, 42, 1, 96);
        let (sent, reply) = (json(&sent), json(&reply));
        assert_eq!(sent.as_array().map(Vec::len), Some(50));
        assert_eq!(sent[49]["id"], 100_099);
        assert_eq!(
            (&sent[7]["id"], &sent[7]["params"]),
            (&reply[7]["id"], &reply[7]["result"])
        );
        let (sent, reply) = exchange(Payload::SocketIo, 42, 17, 96);
        assert!(sent.starts_with(br#"42100017["route.01",{"from":"000042","#));
        assert!(reply.starts_with(br#"43100017[{"from":"000042","#));
    }
}
