//! From messages to bytes: the sending half of RFC 6455, without a socket.

use std::{cell::RefCell, io, mem};

use bytes::Bytes;

use super::{
    buffers::{give_output, take_output},
    deflate::Deflater,
    frame::{Head, Opcode, Role, apply_mask},
};

/// Gathers frames until they can be sent.
pub(super) struct Writer {
    role: Role,
    /// One of the thread's spare buffers while it holds data.
    buffer: Vec<u8>,
    /// How much of the buffer has been sent.
    sent: usize,
    deflater: Option<Deflater>,
}

impl Writer {
    pub(super) fn new(role: Role, deflater: Option<Deflater>) -> Self {
        Self {
            role,
            buffer: Vec::new(),
            sent: 0,
            deflater,
        }
    }

    /// Adds a message, compressed if that was negotiated and is worthwhile.
    #[inline]
    pub(super) fn write_message(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        if self.deflater.is_none() {
            return self.write(opcode, payload);
        }
        self.write_deflated(opcode, payload, |deflater, out| {
            deflater.deflate(payload, out)
        })
    }

    /// Adds a message that may go to others too: it is compressed once for all of them.
    pub(super) fn write_shared(&mut self, opcode: Opcode, payload: &Bytes) -> io::Result<()> {
        if self.deflater.is_none() {
            return self.write(opcode, payload);
        }
        self.write_deflated(opcode, payload, |deflater, out| {
            deflater.deflate_shared(payload, out)
        })
    }

    #[inline(never)]
    fn write_deflated(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        deflate: impl FnOnce(&mut Deflater, &mut Vec<u8>) -> bool,
    ) -> io::Result<()> {
        let mut out = take_output();
        let is_deflated = match &mut self.deflater {
            Some(deflater) => deflate(deflater, &mut out),
            None => false,
        };
        let result = match is_deflated {
            true => self.write(opcode.compressed(), &out),
            false => self.write(opcode, payload),
        };
        give_output(out);
        result
    }

    /// Adds a frame that is a complete message or a control frame.
    pub(super) fn write(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mask = match self.role {
            Role::Server => None,
            Role::Client => Some(random_mask()?),
        };
        if self.buffer.capacity() == 0 {
            self.buffer = take_output();
        } else if self.sent > self.buffer.len() / 2 {
            self.buffer.drain(..mem::take(&mut self.sent));
        }
        Head::write(&mut self.buffer, opcode, payload.len(), mask);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut self.buffer[start..], mask);
        }
        Ok(())
    }

    /// The bytes left to send. The caller reports sent bytes with [`sent`](Self::sent).
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.buffer.len() {
            self.sent = 0;
            give_output(mem::take(&mut self.buffer));
        }
    }
}

/// Masks must be unpredictable (RFC 6455, section 5.3). They are drawn from the system many at a time.
fn random_mask() -> io::Result<[u8; 4]> {
    const MASKS: usize = 128;
    thread_local! {
        static SPARE: RefCell<([[u8; 4]; MASKS], usize)> = const { RefCell::new(([[0; 4]; MASKS], 0)) };
    }
    SPARE.with_borrow_mut(|(masks, left)| {
        if *left == 0 {
            getrandom::fill(masks.as_flattened_mut()).map_err(io::Error::other)?;
            *left = MASKS;
        }
        *left -= 1;
        Ok(masks[*left])
    })
}
