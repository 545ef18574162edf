//! Precomputes the client's frames.

use super::{Load, Payload, deflated, socket_io};

/// The messages that one connection sends in turn, laid out twice in a row so that any run of up to all of them is
/// contiguous, with the expected replies.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(super) wire: Vec<u8>,
    pub(crate) frame_len: usize,
    pub(super) depth: usize,
    /// One for each message, or one for all.
    pub(super) replies: Vec<Vec<u8>>,
    pub(super) opcode: u8,
    /// Whether replies arrive in the order of their messages.
    pub(super) in_order: bool,
    /// Whether replies may be compressed.
    pub(super) is_deflated: bool,
    /// A message that is not a reply.
    pub(super) ping: Option<&'static [u8]>,
}

impl Ring {
    pub(crate) fn new(connection: usize, load: &Load) -> Self {
        let load = &load.of(connection);
        let opcode = match load.payload {
            Payload::Binary => 2,
            Payload::Text
            | Payload::Json
            | Payload::Deflated
            | Payload::Mixed
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
            match load.payload {
                Payload::Deflated => {
                    let first = opcode | deflated::COMPRESSED;
                    push_frame(&mut wire, first, mask, &deflated::deflate(body));
                }
                _ => push_frame(&mut wire, opcode, mask, body),
            }
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
            is_deflated: load.payload == Payload::Deflated,
            ping: (load.payload == Payload::SocketIo).then_some(socket_io::PING),
        }
    }

    /// The bytes of `count` messages starting with message `first`, without the first `skip` bytes.
    pub(crate) fn wire(&self, first: u64, count: usize, skip: usize) -> &[u8] {
        let start = (first % self.depth as u64) as usize * self.frame_len;
        let count = count.min(self.depth);
        &self.wire[start + skip..start + count * self.frame_len]
    }

    pub(super) fn reply(&self, message: u64) -> &[u8] {
        &self.replies[(message % self.replies.len() as u64) as usize]
    }
}

/// A message, which names its connection and its place in the ring, and the expected reply.
fn exchange(kind: Payload, connection: usize, index: usize, size: usize) -> (Vec<u8>, Vec<u8>) {
    match kind {
        Payload::JsonRpcBatch => return batch(connection, index, size),
        Payload::Deflated => {
            let message = deflated::json(connection, size).into_bytes();
            return (message.clone(), message);
        }
        _ => {}
    }
    let route = index % 16;
    let (start, end) = match kind {
        Payload::Text | Payload::Binary | Payload::Mixed => {
            (format!("{connection:06}.{index:05} "), "")
        }
        Payload::Json | Payload::Deflated => (
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
        Payload::Text | Payload::Binary | Payload::Json | Payload::Deflated | Payload::Mixed => {
            (body.clone(), body)
        }
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

pub(super) fn push_frame(wire: &mut Vec<u8>, opcode: u8, mask: [u8; 4], body: &[u8]) {
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
            tls: None,
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
