//! From bytes to messages: the receiving half of RFC 6455, without a socket.

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

use super::{
    buffers::Input,
    deflate::Inflater,
    frame::{Head, MAX_HEAD, Opcode, RESERVED, Role, apply_mask, broken, too_big},
};
use crate::{Close, CloseCode, Message, Text, connection::work};

/// Bytes that the frames of one message may have in addition to twice the largest message. A message of many tiny
/// fragments, or of endless empty ones, is too big even if its payload is not.
const FRAGMENT_HEADS: u64 = 64 * 1024;

/// What a peer has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong,
    Close(Close),
}

/// Parses frames that arrive in pieces of any size.
///
/// It never holds more than twice the received bytes of a message.
pub(super) struct Reader {
    role: Role,
    max_message_size: usize,
    /// The first bytes of an incomplete head.
    head: [u8; MAX_HEAD],
    head_len: u8,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message being read, if it arrives in more than one piece.
    message: Option<Box<Partial>>,
    /// The payload of a control frame that arrives in more than one piece.
    control: Option<Box<BytesMut>>,
    /// Present if the peer may compress.
    inflater: Option<Box<Inflater>>,
}

#[derive(Clone, Copy)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    mask: [u8; 4],
    /// Bytes of the payload still to come.
    missing: usize,
}

/// An incomplete message.
struct Partial {
    opcode: Opcode,
    payload: BytesMut,
    /// How much of a text is known to be valid UTF-8.
    checked: usize,
    /// The size of its frames so far, with heads.
    received: u64,
}

impl Reader {
    pub(super) fn new(role: Role, max_message_size: usize, inflater: Option<Inflater>) -> Self {
        Self {
            role,
            max_message_size,
            head: [0; MAX_HEAD],
            head_len: 0,
            frame: None,
            message: None,
            control: None,
            inflater: inflater.map(Box::new),
        }
    }

    /// Reads the next event. Without one, it took all of the input.
    #[inline(always)]
    pub(super) fn read(&mut self, input: &mut Input) -> Result<Option<Event>, Close> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let (frame, size) = self.read_head(input.rest())?;
                    input.used(size);
                    match frame {
                        Some(frame) => frame,
                        None => return Ok(None),
                    }
                }
            };
            let count = input.rest().len().min(frame.missing);
            let event = if frame.opcode.is_control() {
                self.read_control(frame, input, count)?
            } else {
                self.read_data(frame, input, count)?
            };
            if count < frame.missing {
                let mut mask = frame.mask;
                mask.rotate_left(count % 4);
                self.frame = Some(Frame {
                    mask,
                    missing: frame.missing - count,
                    ..frame
                });
                return Ok(None);
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Reads the head of a frame, and returns how many bytes of the input it took.
    #[inline(always)]
    fn read_head(&mut self, input: &[u8]) -> Result<(Option<Frame>, usize), Close> {
        if self.head_len == 0 {
            if let Some((head, size)) = Head::parse(input, self.role)? {
                return Ok((Some(self.start_frame(head, size)?), size));
            }
            if input.is_empty() {
                return Ok((None, 0));
            }
        }
        self.complete_head(input)
    }

    /// Continues an incomplete head.
    #[cold]
    fn complete_head(&mut self, input: &[u8]) -> Result<(Option<Frame>, usize), Close> {
        let before = usize::from(self.head_len);
        let count = input.len().min(MAX_HEAD - before);
        self.head[before..][..count].copy_from_slice(&input[..count]);
        let known = before + count;
        let Some((head, size)) = Head::parse(&self.head[..known], self.role)? else {
            self.head_len = known as u8;
            return Ok((None, count));
        };
        self.head_len = 0;
        Ok((Some(self.start_frame(head, size)?), size - before))
    }

    /// Checks whether this frame is allowed now.
    #[inline(always)]
    fn start_frame(&mut self, head: Head, size: usize) -> Result<Frame, Close> {
        let too_big = || too_big(self.max_message_size);
        let len = usize::try_from(head.len).map_err(|_| too_big())?;
        match (&mut self.message, head.opcode) {
            (_, opcode) if opcode.is_control() => {}
            (None, Opcode::Continuation) => {
                return Err(broken("a continuation frame without a message"));
            }
            (None, opcode) => {
                if opcode.is_compressed() && self.inflater.is_none() {
                    return Err(broken(RESERVED));
                }
                if len > max_payload(opcode, self.max_message_size) {
                    return Err(too_big());
                }
            }
            (Some(message), Opcode::Continuation) => {
                let max = max_payload(message.opcode, self.max_message_size);
                if len > max - message.payload.len() {
                    return Err(too_big());
                }
                message.received += (size + len) as u64;
                let most = (self.max_message_size as u64).saturating_mul(2);
                if message.received > most.saturating_add(FRAGMENT_HEADS) {
                    return Err(Close::new(CloseCode::TOO_BIG, "too many fragments"));
                }
            }
            (Some(_), _) => return Err(broken("a new message before the end of the last one")),
        }
        Ok(Frame {
            opcode: head.opcode,
            is_final: head.is_final,
            mask: head.mask,
            missing: len,
        })
    }

    /// Takes a piece of a control frame; the last one completes it.
    #[inline(never)]
    fn read_control(
        &mut self,
        frame: Frame,
        input: &mut Input,
        count: usize,
    ) -> Result<Option<Event>, Close> {
        let is_last = count == frame.missing;
        let payload = if is_last && self.control.is_none() {
            input.payload(count, frame.mask)
        } else {
            let mut control = self.control.take().unwrap_or_default();
            append(&mut control, &input.rest()[..count], frame.mask);
            input.used(count);
            if !is_last {
                self.control = Some(control);
                return Ok(None);
            }
            control.freeze()
        };
        Ok(Some(match frame.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Close => Event::Close(read_close(payload)?),
            _ => Event::Pong,
        }))
    }

    /// Takes a piece of a message; the last one completes it.
    #[inline(always)]
    fn read_data(
        &mut self,
        frame: Frame,
        input: &mut Input,
        count: usize,
    ) -> Result<Option<Event>, Close> {
        let is_last = frame.is_final && count == frame.missing;
        if is_last && self.message.is_none() {
            let payload = input.payload(count, frame.mask);
            return match frame.opcode.is_compressed() {
                false => message(frame.opcode == Opcode::Text, payload),
                true => self.inflate(frame.opcode, &payload),
            }
            .map(Some);
        }
        let event = self.gather(frame, &input.rest()[..count], is_last)?;
        input.used(count);
        Ok(event)
    }

    #[inline(never)]
    fn gather(
        &mut self,
        frame: Frame,
        piece: &[u8],
        is_last: bool,
    ) -> Result<Option<Event>, Close> {
        let partial = self.message.get_or_insert_with(|| {
            Box::new(Partial {
                opcode: frame.opcode,
                payload: BytesMut::new(),
                checked: 0,
                received: frame.missing as u64,
            })
        });
        let payload = &mut partial.payload;
        if payload.capacity() - payload.len() < piece.len() {
            // Reserves nothing for a length that is merely announced.
            payload.reserve((payload.len() + 2 * piece.len()).min(frame.missing));
        }
        append(payload, piece, frame.mask);
        if partial.opcode == Opcode::Text {
            partial.checked += valid(&payload[partial.checked..])?;
        }
        if !is_last {
            return Ok(None);
        }
        match self.message.take() {
            Some(partial) if partial.opcode.is_compressed() => {
                self.inflate(partial.opcode, &partial.payload).map(Some)
            }
            Some(partial) => message(partial.opcode.is_text(), partial.payload.freeze()).map(Some),
            None => Ok(None),
        }
    }

    #[inline(never)]
    fn inflate(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Event, Close> {
        match &mut self.inflater {
            Some(inflater) => {
                let payload = inflater.inflate(payload, self.max_message_size)?;
                work::spend(payload.len());
                message(opcode.is_text(), payload)
            }
            None => Err(broken(RESERVED)),
        }
    }
}

/// The maximum payload of a message. Compression makes incompressible data longer, by an eighth with the worst
/// encoders.
#[inline]
fn max_payload(opcode: Opcode, max_message_size: usize) -> usize {
    match opcode.is_compressed() {
        false => max_message_size,
        true => max_message_size.saturating_add(max_message_size / 8 + 64),
    }
}

fn append(payload: &mut BytesMut, piece: &[u8], mask: [u8; 4]) {
    let start = payload.len();
    payload.extend_from_slice(piece);
    apply_mask(&mut payload[start..], mask);
}

#[inline(always)]
fn message(is_text: bool, payload: Bytes) -> Result<Event, Close> {
    Ok(Event::Message(if is_text {
        Message::Text(Text::try_from(payload).map_err(|_| not_text())?)
    } else {
        Message::Binary(payload)
    }))
}

/// The length of the valid UTF-8 in these bytes, whose last character may be incomplete.
fn valid(bytes: &[u8]) -> Result<usize, Close> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(not_text()),
    }
}

fn not_text() -> Close {
    Close::new(CloseCode::INVALID_PAYLOAD, "text must be UTF-8")
}

/// The payload of a close frame (RFC 6455, section 5.5.1).
fn read_close(payload: Bytes) -> Result<Close, Close> {
    match payload.split_first_chunk() {
        None if payload.is_empty() => Ok(CloseCode::NO_STATUS.into()),
        None => Err(broken("a close frame with a single byte")),
        Some((code, _)) => {
            let code = CloseCode::try_from(u16::from_be_bytes(*code))
                .map_err(|_| broken("invalid close code"))?;
            let reason = Text::try_from(payload.slice(2..)).map_err(|_| not_text())?;
            Ok(Close::new(code, reason))
        }
    }
}
