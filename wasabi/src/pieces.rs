//! Memory that the small messages of a thread share: a message that is soon gone costs no allocation.

use std::{
    cell::{Cell, RefCell},
    mem,
};

use bytes::{Bytes, BytesMut};

/// Payloads are copied into pieces of this size. A piece is reused once none of its payloads is in use.
const PIECE: usize = 32 * 1024;

/// A larger payload has its own memory, so that it neither pins a whole piece for a long time nor fills one alone. Inputs of
/// fuzz targets are small.
pub(crate) const SMALL: usize = if cfg!(fuzzing) { 64 } else { 8 * 1024 };

thread_local! {
    static PAYLOADS: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reuses the piece from its start, unless some of it is in use.
pub(crate) fn rewind() {
    PAYLOADS.with_borrow_mut(|piece| piece.try_reclaim(PIECE));
}

/// Copies a payload into shared memory, where `change` may change it.
#[inline(always)]
pub(crate) fn copied(payload: &[u8], change: impl FnOnce(&mut [u8])) -> Bytes {
    if payload.len() > SMALL {
        let mut own = BytesMut::from(payload);
        change(&mut own);
        return own.freeze();
    }
    PAYLOADS.with_borrow_mut(|piece| {
        make_room(piece, payload.len());
        // Copied first: a wide load right after narrower stores would stall.
        piece.extend_from_slice(payload);
        change(piece);
        piece.split().freeze()
    })
}

/// Joins the parts of a payload in shared memory. A loop, and not the code for each part: what runs for a message should
/// fit the processor's cache of instructions.
#[inline(never)]
pub(crate) fn joined(parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum();
    if len > SMALL {
        let mut own = BytesMut::with_capacity(len);
        parts.iter().for_each(|part| own.extend_from_slice(part));
        return own.freeze();
    }
    PAYLOADS.with_borrow_mut(|piece| {
        make_room(piece, len);
        parts.iter().for_each(|part| piece.extend_from_slice(part));
        piece.split().freeze()
    })
}

/// A payload in shared memory that code of the user's may write: it may write others meanwhile.
#[inline]
pub(crate) fn written<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    write(&mut scratch)?;
    if scratch.len() > SMALL {
        return Ok(Bytes::from(mem::take(&mut scratch)));
    }
    let payload = copied(&scratch, |_| {});
    SCRATCH.set(scratch);
    Ok(payload)
}

#[inline(always)]
fn make_room(piece: &mut BytesMut, len: usize) {
    if piece.capacity() < len && !piece.try_reclaim(PIECE) {
        *piece = BytesMut::with_capacity(PIECE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_all_sizes_are_as_they_were_written() {
        let mut kept = Vec::new();
        for size in [0, 1, 100, SMALL, SMALL + 1, PIECE, PIECE + 1] {
            for _ in 0..6 {
                let expected = vec![b'x'; size];
                let (start, end) = expected.split_at(size / 3);
                kept.push((expected.clone(), joined(&[start, end])));
                kept.push((expected.clone(), copied(&expected, |_| {})));
                let written = written(|out| {
                    // Another one is written in between.
                    let inner: Result<_, ()> = super::written(|out| {
                        out.extend_from_slice(b"inner");
                        Ok(())
                    });
                    assert_eq!(inner.as_deref(), Ok(&b"inner"[..]));
                    out.extend_from_slice(&expected);
                    Ok::<_, ()>(())
                });
                kept.push((expected, written.expect("nothing fails")));
                rewind();
            }
        }
        for (expected, payload) in kept {
            assert_eq!(payload, expected);
        }
    }
}
