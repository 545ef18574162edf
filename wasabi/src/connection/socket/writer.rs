//! From messages to bytes: the sending half of RFC 6455, without a socket.

use std::{cell::RefCell, io};

use bytes::Bytes;

use super::{
    buffers::Output,
    deflate::Deflater,
    frame::{Head, Opcode, Role, apply_mask},
};
use crate::pieces::SMALL;

/// Gathers frames until they can be sent.
pub(super) struct Writer {
    /// `Some` while there is anything to send.
    output: Option<Box<Output>>,
    deflater: Option<Box<Deflater>>,
}

impl Writer {
    pub(super) fn new(deflater: Option<Deflater>) -> Self {
        Self {
            output: None,
            deflater: deflater.map(Box::new),
        }
    }

    /// Adds a message, compressed if that was negotiated and is worthwhile.
    #[inline]
    pub(super) fn write_message(
        &mut self,
        role: Role,
        opcode: Opcode,
        payload: &[u8],
    ) -> io::Result<()> {
        if self.deflater.is_none() {
            return self.write(role, opcode, payload);
        }
        self.write_deflated(role, opcode, payload, |deflater, out| {
            deflater.deflate(payload, out)
        })
    }

    /// Adds a message that may go to others too: it is compressed once for all of them.
    pub(super) fn write_shared(
        &mut self,
        role: Role,
        opcode: Opcode,
        payload: &Bytes,
    ) -> io::Result<()> {
        if self.deflater.is_none() {
            return self.write(role, opcode, payload);
        }
        self.write_deflated(role, opcode, payload, |deflater, out| {
            deflater.deflate_shared(payload, out)
        })
    }

    #[inline(never)]
    fn write_deflated(
        &mut self,
        role: Role,
        opcode: Opcode,
        payload: &[u8],
        deflate: impl FnOnce(&mut Deflater, &mut Vec<u8>) -> bool,
    ) -> io::Result<()> {
        let mut out = Output::take();
        let is_deflated = match &mut self.deflater {
            Some(deflater) => deflate(deflater, &mut out.bytes),
            None => false,
        };
        let result = match is_deflated {
            true => self.write(role, opcode.compressed(), &out.bytes),
            false => self.write(role, opcode, payload),
        };
        out.give();
        result
    }

    /// Adds a frame that is a complete message or a control frame.
    pub(super) fn write(&mut self, role: Role, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mask = match role {
            Role::Server => None,
            Role::Client => Some(random_mask()?),
        };
        let output = self.output.get_or_insert_with(Output::take);
        output.make_room();
        let bytes = &mut output.bytes;
        Head::write(bytes, opcode, payload.len(), mask);
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut bytes[start..], mask);
        }
        Ok(())
    }

    /// Whether a payload of this size may be sent from where it is.
    #[inline]
    pub(super) fn takes_uncopied(&self, role: Role, len: usize) -> bool {
        len > SMALL && role == Role::Server && self.deflater.is_none()
    }

    /// Adds a message that [may](Self::takes_uncopied) be sent from where it is.
    pub(super) fn write_uncopied(&mut self, opcode: Opcode, payload: Bytes) {
        let output = self.output.get_or_insert_with(Output::take);
        output.make_room();
        Head::write(&mut output.bytes, opcode, payload.len(), None);
        output.add_large(payload);
    }

    /// What is left to send. The caller reports sent bytes with [`sent`](Self::sent).
    #[inline]
    pub(super) fn output(&self) -> Option<&Output> {
        self.output.as_deref()
    }

    #[inline]
    pub(super) fn sent(&mut self, count: usize) {
        let Some(output) = &mut self.output else {
            return;
        };
        output.sent(count);
        if output.len() == 0
            && let Some(output) = self.output.take()
        {
            output.give();
        }
    }

    /// The peer takes no data for now: what waits may pin no more than its own bytes.
    #[inline]
    pub(super) fn blocked(&mut self) {
        if let Some(output) = &mut self.output
            && !output.is_plain()
        {
            output.copy_large();
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
