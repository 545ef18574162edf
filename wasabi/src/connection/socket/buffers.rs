//! Memory that the connections of a thread use one after the other: an idle connection has no buffer.

use std::{cell::RefCell, mem};

use bytes::{Bytes, BytesMut};

use super::frame::apply_mask;

/// Bytes that are taken from a stream at once: more than a large message, which is then cut out with one copy.
const READ: usize = 64 * 1024;

/// What is written is gathered in a buffer that is kept for the next connection unless it has grown over this.
const KEPT: usize = 64 * 1024;

/// Buffers that a thread keeps: a client and its upstream have something to read and to write at the same time.
const SPARE: usize = 4;

/// Payloads are copied into pieces of this size, until none of one is in use any more.
const ARENA: usize = 32 * 1024;

/// A larger payload has memory of its own, lest it pins a whole piece for a long time, or fills one alone.
const SMALL: usize = 8 * 1024;

thread_local! {
    static INPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static OUTPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static PAYLOADS: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Bytes that were read and not looked at yet.
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// What had been read before there was a connection.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            start: 0,
            end: bytes.len(),
            bytes,
        }
    }

    pub(super) fn take() -> Self {
        Self {
            bytes: INPUTS
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| vec![0; READ]),
            start: 0,
            end: 0,
        }
    }

    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(super) fn filled(&mut self, end: usize) {
        self.end = end;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What is left. Whoever looks at it says what was [`used`](Self::used).
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn used(&mut self, count: usize) {
        self.start += count;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.bytes.len() == READ {
            keep(&INPUTS, mem::take(&mut self.bytes));
        }
    }
}

/// A buffer for what is to be written.
pub(super) fn take_output() -> Vec<u8> {
    OUTPUTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub(super) fn give_output(mut buffer: Vec<u8>) {
    if (1..=KEPT).contains(&buffer.capacity()) {
        buffer.clear();
        keep(&OUTPUTS, buffer);
    }
}

fn keep(spare: &'static std::thread::LocalKey<RefCell<Vec<Vec<u8>>>>, buffer: Vec<u8>) {
    // At the end of a thread there are no such buffers any more.
    let _ = spare.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    });
}

/// Starts the piece of memory for payloads anew, unless some of it is in use.
pub(super) fn rewind() {
    PAYLOADS.with_borrow_mut(|piece| piece.try_reclaim(ARENA));
}

/// A payload, without its mask, in shared memory.
#[inline(always)]
pub(super) fn unmasked(payload: &[u8], mask: [u8; 4]) -> Bytes {
    if payload.len() > SMALL {
        let mut own = BytesMut::from(payload);
        apply_mask(&mut own, mask);
        return own.freeze();
    }
    PAYLOADS.with_borrow_mut(|piece| {
        if piece.capacity() < payload.len() && !piece.try_reclaim(ARENA) {
            *piece = BytesMut::with_capacity(ARENA);
        }
        // Copied first: a wide load of what has just been masked in narrower steps would have to wait for it.
        piece.extend_from_slice(payload);
        apply_mask(piece, mask);
        piece.split().freeze()
    })
}
