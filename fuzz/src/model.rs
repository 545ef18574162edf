//! What a client's bytes mean (RFC 6455, section 5), read as slowly and simply as possible.

use crate::frames::{CLOSE, PING, PONG, TEXT, may_be_sent};

/// What a client has said so far.
pub struct Model {
    max_message_size: usize,
    /// Bytes of a frame that is not complete.
    rest: Vec<u8>,
    /// The message of which some frames are missing.
    partial: Option<(u8, Vec<u8>)>,
    /// Text or not, and the payload.
    pub messages: Vec<(bool, Vec<u8>)>,
    pub pings: Vec<Vec<u8>>,
    pub controls: usize,
    pub end: Option<End>,
}

/// After this nothing counts any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client's close frame, with its code if it has one.
    Close(Option<u16>),
    /// A rule is broken, and this code tells which.
    Wrong(u16),
}

impl Model {
    pub fn new(max_message_size: usize) -> Self {
        Self {
            max_message_size,
            rest: Vec::new(),
            partial: None,
            messages: Vec::new(),
            pings: Vec::new(),
            controls: 0,
            end: None,
        }
    }

    /// A frame has begun and is not complete: there may be something wrong with it already.
    pub fn is_within_a_frame(&self) -> bool {
        !self.rest.is_empty()
    }

    pub fn read(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while self.end.is_none() {
            match self.frame() {
                Ok(true) => {}
                Ok(false) => return,
                Err(code) => self.end = Some(End::Wrong(code)),
            }
        }
    }

    /// Reads a frame. `false` when it is not complete.
    // Long: the checks of a frame, in the order in which its bytes arrive.
    fn frame(&mut self) -> Result<bool, u16> {
        let &[first, second, ref more @ ..] = &self.rest[..] else {
            return Ok(false);
        };
        let (is_last, opcode, short) = (first & 0x80 != 0, first & 0x7f, second & 0x7f);
        let is_control = matches!(opcode, CLOSE | PING | PONG);
        // Compression, which nobody has agreed on, is looked at with the rest of the head.
        let is_compressed = matches!(opcode, 0x41 | 0x42);
        if !is_control && !is_compressed && opcode > 2
            || is_control && (!is_last || short > 125)
            || second & 0x80 == 0
        {
            return Err(1002);
        }
        let size = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, more)) = more.split_at_checked(size) else {
            return Ok(false);
        };
        let length = match size {
            0 => short.into(),
            _ => length
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if length >> 63 != 0 {
            return Err(1002);
        }
        let Some((mask, payload)) = more.split_first_chunk::<4>() else {
            return Ok(false);
        };
        if !is_control {
            if is_compressed || self.partial.is_some() != (opcode == 0) {
                return Err(1002);
            }
            let before = self
                .partial
                .as_ref()
                .map_or(0, |(_, payload)| payload.len());
            if length > (self.max_message_size - before) as u64 {
                return Err(1009);
            }
        }
        let Some(payload) = payload.get(..length as usize) else {
            return Ok(false);
        };
        let mask = mask.iter().cycle();
        let payload: Vec<u8> = payload
            .iter()
            .zip(mask)
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        let head = 2 + size + 4;
        self.rest.drain(..head + payload.len());
        match opcode {
            CLOSE => self.end = Some(close(&payload)?),
            PING | PONG => {
                self.controls += 1;
                if opcode == PING {
                    self.pings.push(payload);
                }
            }
            _ => self.data(opcode, is_last, payload)?,
        }
        Ok(true)
    }

    fn data(&mut self, opcode: u8, is_last: bool, payload: Vec<u8>) -> Result<(), u16> {
        let (kind, whole) = self.partial.get_or_insert((opcode, Vec::new()));
        whole.extend(payload);
        if *kind == TEXT
            && let Err(error) = std::str::from_utf8(whole)
            && (is_last || error.error_len().is_some())
        {
            return Err(1007);
        }
        if is_last && let Some((kind, whole)) = self.partial.take() {
            self.messages.push((kind == TEXT, whole));
        }
        Ok(())
    }
}

fn close(payload: &[u8]) -> Result<End, u16> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload.is_empty() {
            true => Ok(End::Close(None)),
            false => Err(1002),
        };
    };
    let code = u16::from_be_bytes(*code);
    match std::str::from_utf8(reason) {
        _ if !may_be_sent(code) => Err(1002),
        Ok(_) => Ok(End::Close(Some(code))),
        Err(_) => Err(1007),
    }
}
