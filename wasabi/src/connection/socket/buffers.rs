//! Memory that the connections of a thread share in turn: an idle connection has no buffer.

use std::{cell::RefCell, mem};

use bytes::Bytes;

use super::frame::apply_mask;
use crate::pieces;

/// Bytes per read from a stream: more than a large message, which one copy then cuts out.
const READ: usize = 64 * 1024;

/// An output buffer is kept for the next connection unless it has grown beyond this size.
const KEPT: usize = 64 * 1024;

/// Buffers that a thread keeps: a client and its upstream may read and write at the same time.
const SPARE: usize = 4;

thread_local! {
    static INPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static OUTPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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

/// Copies a payload into shared memory and unmasks it.
#[inline(always)]
pub(super) fn unmasked(payload: &[u8], mask: [u8; 4]) -> Bytes {
    pieces::copied(payload, |payload| apply_mask(payload, mask))
}
