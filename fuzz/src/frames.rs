//! Frames (RFC 6455, section 5), written without a look at the library: a client's, and a check of a server's.

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A client's frame.
pub fn client(is_last: bool, opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![u8::from(is_last) << 7 | opcode];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// What a server has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    /// With its code, if it has one.
    Close(Option<u16>),
}

/// Reads a server's first frame, which must be a correct one, and tells how many bytes it has. `None` when some are
/// missing.
pub fn server(bytes: &[u8]) -> Option<(Sent, usize)> {
    let &[first, second, ref rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(first & 0xf0, 0x80, "one frame a message, no reserved bit");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (length, rest) = match second {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u16::from_be_bytes(*length).into();
            assert!(length > 125, "as short a length as possible");
            (length, rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u64::from_be_bytes(*length);
            assert!(length > 0xffff, "as short a length as possible");
            (length, rest)
        }
        length => (length.into(), rest),
    };
    assert!(length <= 1 << 20, "more than it was to send");
    let (payload, rest) = rest.split_at_checked(length as usize)?;
    let opcode = first & 0x0f;
    assert!(opcode < 8 || length <= 125, "control frames are short");
    let sent = match opcode {
        TEXT => Sent::Text(String::from_utf8(payload.to_vec()).expect("text is UTF-8")),
        2 => Sent::Binary(payload.to_vec()),
        CLOSE => Sent::Close(close_code(payload)),
        PING => Sent::Ping,
        PONG => Sent::Pong(payload.to_vec()),
        opcode => panic!("opcode {opcode}"),
    };
    Some((sent, bytes.len() - rest.len()))
}

fn close_code(payload: &[u8]) -> Option<u16> {
    let (code, reason) = payload.split_first_chunk()?;
    std::str::from_utf8(reason).expect("a reason is UTF-8");
    let code = u16::from_be_bytes(*code);
    assert!(may_be_sent(code), "{code} is never sent");
    Some(code)
}

/// Whether a close frame may carry this code (RFC 6455, section 7.4, and the codes registered since).
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
