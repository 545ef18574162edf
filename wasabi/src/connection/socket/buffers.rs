//! Memory that the connections of a thread share in turn: an idle connection has no buffer.

use std::{cell::RefCell, mem};

use bytes::{Bytes, BytesMut};

use super::frame::apply_mask;

/// Bytes per read from a stream: more than a large message, which one copy then cuts out.
const READ: usize = 64 * 1024;

/// An output buffer is kept for the next connection unless it has grown beyond this size.
const KEPT: usize = 64 * 1024;

/// Buffers that a thread keeps: a client and its upstream may read and write at the same time.
const SPARE: usize = 4;

/// Payloads are copied into pieces of this size. A piece is reused once none of its payloads is in use.
const ARENA: usize = 32 * 1024;

/// A larger payload has its own memory, so that it neither pins a whole piece for a long time nor fills one alone.
const SMALL: usize = 8 * 1024;

thread_local! {
    static INPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static OUTPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static PAYLOADS: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Bytes read but not parsed yet.
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Bytes read before the connection existed.
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

    /// The unparsed bytes. The caller reports parsed bytes with [`used`](Self::used).
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

/// An output buffer.
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
    // At the end of a thread, its buffers are gone.
    let _ = spare.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    });
}

/// Reuses the piece of memory for payloads from its start, unless some of it is in use.
pub(super) fn rewind() {
    PAYLOADS.with_borrow_mut(|piece| piece.try_reclaim(ARENA));
}

/// Copies a payload into shared memory and unmasks it.
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
        // Copied first: a wide load right after narrower stores of the masking would stall.
        piece.extend_from_slice(payload);
        apply_mask(piece, mask);
        piece.split().freeze()
    })
}
