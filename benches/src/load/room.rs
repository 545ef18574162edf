//! What clients say in a room and hear from it: JSON objects as messages, or as events of Socket.IO.

use std::io;

use super::frames::push_frame;

/// Everything before the numbers, after the first and after the second of them.
const PARTS: [&str; 2] = [r#"{"from":"#, r#","n":"#];
const MASK: [u8; 4] = [0x9e, 0x37, 0x79, 0xb9];

/// Numbers of the same length: they begin here.
const FIRST_FROM: u64 = 1_000;
const FIRST_N: u64 = 1_000_000_000;

/// The form of the messages.
pub(super) struct Room {
    is_socket_io: bool,
    /// What precedes and follows the JSON of a message that is heard.
    around: [&'static str; 2],
    /// Its last member.
    text: String,
}

/// What a client hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Message {
        from: usize,
        n: u64,
    },
    /// A server of Socket.IO wants to know whether the client is there.
    Ping,
    Wrong,
}

impl Room {
    /// Objects of this many bytes.
    pub(super) fn new(size: usize, is_socket_io: bool) -> Self {
        let around = match is_socket_io {
            true => [r#"42["said","#, "]"],
            false => ["", ""],
        };
        let head = PARTS[0].len() + 4 + PARTS[1].len() + 10 + r#","text":""}"#.len();
        let text = (0..size.saturating_sub(head)).map(|at| (b'a' + (at % 26) as u8) as char);
        let text = format!(r#","text":"{}"}}"#, text.collect::<String>());
        Self {
            is_socket_io,
            around,
            text,
        }
    }

    /// The frame of a publisher's message number `n`.
    pub(super) fn say(&self, from: usize, n: u64) -> Vec<u8> {
        let json = self.json(from, n);
        let body = match self.is_socket_io {
            true => format!(r#"42["say",{json}]"#),
            false => json,
        };
        frame(body.as_bytes())
    }

    /// The frame that answers a ping.
    pub(super) fn pong() -> Vec<u8> {
        frame(b"3")
    }

    fn json(&self, from: usize, n: u64) -> String {
        let (from, n) = (FIRST_FROM + from as u64, FIRST_N + n);
        format!("{}{from}{}{n}{}", PARTS[0], PARTS[1], self.text)
    }

    /// Understands a message, and compares every byte of it.
    pub(super) fn hear(&self, body: &[u8]) -> Heard {
        if self.is_socket_io && body == b"2" {
            return Heard::Ping;
        }
        let read = || {
            let rest = body.strip_prefix(self.around[0].as_bytes())?;
            let rest = rest.strip_prefix(PARTS[0].as_bytes())?;
            let (from, rest) = rest.split_at_checked(4)?;
            let (n, rest) = rest
                .strip_prefix(PARTS[1].as_bytes())?
                .split_at_checked(10)?;
            let rest = rest.strip_prefix(self.text.as_bytes())?;
            (rest == self.around[1].as_bytes()).then_some(())?;
            let number = |digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
            Some(Heard::Message {
                from: number(from)?.checked_sub(FIRST_FROM)? as usize,
                n: number(n)?.checked_sub(FIRST_N)?,
            })
        };
        read().unwrap_or(Heard::Wrong)
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 8);
    push_frame(&mut frame, 1, MASK, body);
    frame
}

/// The payload of the first message in `said`, and the length of its frame; `None` if it is incomplete. Servers may send
/// only short, unfragmented texts here.
pub(super) fn unframed(said: &[u8]) -> io::Result<Option<(&[u8], usize)>> {
    let (head, len) = match *said {
        [0x81, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [0x81, len @ 0..126, ..] => (2, usize::from(len)),
        [] | [0x81] | [0x81, 126, ..] => return Ok(None),
        _ => return Err(io::Error::other("a frame of the server does not fit")),
    };
    Ok(said.get(head..head + len).map(|body| (body, head + len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server makes of a message that a client says.
    fn served(mut frame: Vec<u8>) -> Vec<u8> {
        let start = if frame[1] == 0x80 | 126 { 8 } else { 6 };
        let mut body = frame.split_off(start);
        for (byte, mask) in body.iter_mut().zip(MASK.iter().cycle()) {
            *byte ^= mask;
        }
        body
    }

    #[test]
    fn what_is_said_is_heard_with_its_publisher_and_its_number() {
        for is_socket_io in [false, true] {
            let room = Room::new(128, is_socket_io);
            let body = String::from_utf8(served(room.say(7, 42))).expect("text");
            let heard = body.replace(r#"["say","#, r#"["said","#);
            let message = Heard::Message { from: 7, n: 42 };
            assert_eq!(room.hear(heard.as_bytes()), message);
            let json = heard.trim_start_matches(r#"42["said","#);
            let json = json.trim_end_matches(']');
            assert_eq!(json.len(), 128);
            let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(json["n"], FIRST_N + 42);
            for at in 0..heard.len() {
                let mut other = heard.clone().into_bytes();
                other[at] ^= 1;
                assert_ne!(room.hear(&other), message, "byte {at}");
                assert_eq!(room.hear(&heard.as_bytes()[..at]), Heard::Wrong);
            }
            assert_eq!(room.hear(format!("{heard} ").as_bytes()), Heard::Wrong);
        }
    }

    #[test]
    fn pings_of_socket_io_are_known_and_answered() {
        assert_eq!(Room::new(128, true).hear(b"2"), Heard::Ping);
        assert_eq!(Room::new(128, false).hear(b"2"), Heard::Wrong);
        assert_eq!(served(Room::pong()), b"3");
    }

    #[test]
    fn frames_are_found_however_much_has_arrived() {
        let long = [&[0x81, 126, 0, 200][..], &[b'a'; 200]].concat();
        for (frame, len) in [
            (&[0x81, 2, b'a', b'b'][..], 2),
            (&long, 200),
            (&[0x81, 0], 0),
        ] {
            for cut in 0..frame.len() {
                assert_eq!(unframed(&frame[..cut]).expect("a frame"), None);
            }
            let more = [frame, &[0x81]].concat();
            let (body, end) = unframed(&more).expect("a frame").expect("all of it");
            assert_eq!((body.len(), end), (len, frame.len()));
        }
        for wrong in [
            &[0x82, 1, 0][..],
            &[0x88, 0],
            &[0x01, 1, b'a'],
            &[0x81, 127],
        ] {
            assert!(unframed(wrong).is_err());
        }
    }
}
