//! Memory that the connections of a thread share in turn: an idle connection has no buffer.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::VecDeque, io::IoSlice, mem, thread::LocalKey};

use bytes::{Buf, Bytes, BytesMut};

use super::frame::apply_mask;
use crate::pieces::{self, SMALL};

/// Bytes per read from a stream: the largest message by default, or two of 16 KiB, with their heads. A large payload is
/// cut out of what was read, and pins no more than this.
const READ: usize = 33 * 1024;

/// An output buffer is kept for the next connection unless it has grown beyond this size.
const KEPT: usize = 64 * 1024;

/// Buffers that a thread keeps: a client and its upstream may read and write at the same time.
const SPARE: usize = 4;

thread_local! {
    #[expect(clippy::vec_box, reason = "a connection takes the box")]
    static INPUTS: RefCell<Vec<Box<Input>>> = const { RefCell::new(Vec::new()) };
    #[expect(clippy::vec_box, reason = "a connection takes the box")]
    static OUTPUTS: RefCell<Vec<Box<Output>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes read but not parsed yet.
pub(super) struct Input {
    bytes: BytesMut,
    start: usize,
    is_shared: bool,
}

impl Input {
    /// Bytes read before the connection existed.
    pub(super) fn of(bytes: &[u8]) -> Box<Self> {
        Box::new(Self {
            bytes: BytesMut::from(bytes),
            start: 0,
            is_shared: false,
        })
    }

    /// An empty buffer.
    pub(super) fn take() -> Box<Self> {
        let spare = INPUTS.with_borrow_mut(|spare| {
            // Payloads that were cut out of the others may still be in use.
            let free = (spare.iter_mut()).rposition(|input| input.bytes.try_reclaim(READ));
            if free.is_none() && spare.len() == SPARE {
                // They may be in use for long.
                spare.remove(0);
            }
            free.map(|index| spare.swap_remove(index))
        });
        spare.unwrap_or_else(|| {
            Box::new(Self {
                bytes: BytesMut::with_capacity(READ),
                start: 0,
                is_shared: true,
            })
        })
    }

    /// Leaves the buffer to the next connection.
    pub(super) fn give(mut self: Box<Self>) {
        if self.is_shared {
            self.bytes.clear();
            self.start = 0;
            keep(&INPUTS, self);
        }
    }

    /// Where bytes that are read are appended.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The unparsed bytes. The caller reports parsed bytes with [`used`](Self::used).
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn used(&mut self, count: usize) {
        self.start += count;
    }

    /// Takes the payload that comes next, and unmasks it. A large one is not copied.
    #[inline(always)]
    pub(super) fn payload(&mut self, len: usize, mask: [u8; 4]) -> Bytes {
        if len > SMALL {
            return self.cut(len, mask);
        }
        let payload = unmasked(&self.rest()[..len], mask);
        self.start += len;
        payload
    }

    #[inline(never)]
    fn cut(&mut self, len: usize, mask: [u8; 4]) -> Bytes {
        self.bytes.advance(mem::take(&mut self.start));
        let mut payload = self.bytes.split_to(len);
        apply_mask(&mut payload, mask);
        payload.freeze()
    }
}

/// Bytes that wait to be sent.
#[derive(Default)]
pub(super) struct Output {
    /// What was copied.
    pub(super) bytes: Vec<u8>,
    /// How much of the copied bytes has been sent.
    sent: usize,
    /// Large payloads, which were not copied, each with its place in the copied bytes.
    large: VecDeque<(usize, Bytes)>,
    /// The bytes of the large payloads.
    large_bytes: usize,
}

impl Output {
    /// An empty buffer.
    pub(super) fn take() -> Box<Self> {
        OUTPUTS.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Leaves the buffer to the next connection.
    pub(super) fn give(mut self: Box<Self>) {
        if self.bytes.capacity() <= KEPT {
            self.bytes.clear();
            self.sent = 0;
            self.large.clear();
            self.large_bytes = 0;
            keep(&OUTPUTS, self);
        }
    }

    /// Moves what is left to the front when more than half has been sent.
    #[inline(always)]
    pub(super) fn make_room(&mut self) {
        if self.sent > self.bytes.len() / 2 {
            self.move_to_front();
        }
    }

    #[inline(never)]
    fn move_to_front(&mut self) {
        let sent = mem::take(&mut self.sent);
        self.bytes.drain(..sent);
        for (place, _) in &mut self.large {
            *place -= sent;
        }
    }

    /// Adds a large payload after what was added before.
    pub(super) fn add_large(&mut self, payload: Bytes) {
        self.large_bytes += payload.len();
        self.large.push_back((self.bytes.len(), payload));
    }

    /// How many copied bytes are left.
    #[inline]
    pub(super) fn copied(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.copied() + self.large_bytes
    }

    /// Whether everything left was copied, and is [`rest`](Self::rest).
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.large.is_empty()
    }

    /// The copied bytes that are left.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// What is left, or the first parts of it, in order. Returns their number.
    pub(super) fn parts<'a>(&'a self, parts: &mut [IoSlice<'a>]) -> usize {
        let mut from = self.sent;
        let mut count = 0;
        let mut add = |part: &'a [u8]| match parts.get_mut(count) {
            Some(room) if !part.is_empty() => {
                *room = IoSlice::new(part);
                count += 1;
            }
            _ => {}
        };
        for (place, payload) in &self.large {
            add(&self.bytes[from..*place]);
            add(payload);
            from = *place;
        }
        add(&self.bytes[from..]);
        count
    }

    /// So many bytes have been sent.
    #[inline]
    pub(super) fn sent(&mut self, count: usize) {
        match self.is_plain() {
            true => self.sent += count,
            false => self.sent_large(count),
        }
    }

    #[inline(never)]
    fn sent_large(&mut self, mut count: usize) {
        while let Some((place, payload)) = self.large.front_mut() {
            let before = count.min(*place - self.sent);
            self.sent += before;
            let of_payload = payload.len().min(count - before);
            payload.advance(of_payload);
            self.large_bytes -= of_payload;
            count -= before + of_payload;
            if !payload.is_empty() {
                return;
            }
            self.large.pop_front();
        }
        self.sent += count;
    }

    /// Copies the large payloads, which pin more than their own bytes.
    #[cold]
    pub(super) fn copy_large(&mut self) {
        let mut bytes = Vec::with_capacity(self.len());
        let mut from = self.sent;
        for (place, payload) in self.large.drain(..) {
            bytes.extend_from_slice(&self.bytes[from..place]);
            bytes.extend_from_slice(&payload);
            from = place;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        self.bytes = bytes;
        self.sent = 0;
        self.large_bytes = 0;
    }
}

fn keep<T>(spare: &'static LocalKey<RefCell<Vec<T>>>, buffer: T) {
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
