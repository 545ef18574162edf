//! The beginning of a Socket.IO session on a WebSocket: the server opens it, the client asks for the namespace `/`, and
//! the server agrees.

use std::io::{self, Write};

/// The path that requests the session: version 4 of Engine.IO, without long polling first.
pub(super) const PATH: &str = "/?EIO=4&transport=websocket";

/// The ping that a server sends now and then, and immediately at first. A server drops clients that do not answer for
/// 20 seconds; no measurement takes that long.
pub(super) const PING: &[u8] = b"2";

/// `40`, masked with zeros.
const CONNECT: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'4', b'0'];

#[derive(Debug, Default)]
pub(super) struct Session {
    asked: bool,
}

impl Session {
    /// Takes everything that the server has sent since the handshake. Once the session has begun, returns the data that
    /// follows.
    pub(super) fn begin<'s>(
        &mut self,
        mut said: &'s [u8],
        stream: &mut impl Write,
    ) -> io::Result<Option<&'s [u8]>> {
        while let Some((packet, rest)) = frame(said)? {
            match packet {
                [b'0', b'{', ..] if self.asked => {}
                [b'0', b'{', ..] => {
                    stream.write_all(&CONNECT)?;
                    self.asked = true;
                }
                PING => {}
                [b'4', b'0', b'{', ..] => return Ok(Some(rest)),
                _ => return Err(io::Error::other("not how a session begins")),
            }
            said = rest;
        }
        Ok(None)
    }
}

/// The payload of the first frame, and the data that follows; `None` if the frame is incomplete. The server may send
/// only short, unfragmented text here.
fn frame(said: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    match said {
        [0x81, len @ 0..126, rest @ ..] => Ok(rest.split_at_checked(usize::from(*len))),
        [] | [0x81] => Ok(None),
        _ => Err(io::Error::other("not how a session begins")),
    }
}
