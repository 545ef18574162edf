//! The codec of permessage-deflate (RFC 7692, section 7.2), without a socket.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::VecDeque};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{
    buffers::{Output, unmasked},
    frame::too_big,
};
use crate::{Close, CloseCode};

/// The parameters that client and server have negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Shorter messages are not compressed.
    pub(crate) threshold: usize,
    pub(crate) level: u8,
    /// The base-2 logarithm of our compression window, 9 to 15.
    pub(crate) window: u8,
    /// Our messages may refer to earlier ones.
    pub(crate) keeps_window: bool,
    /// The peer's messages may refer to earlier ones, within a window of this size (base-2 logarithm), 8 to 15.
    pub(crate) client_window: Option<u8>,
}

/// The empty block at the end of each message, which is not sent (RFC 7692, section 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// The same with an empty final block: only that shows whether a message is complete.
const TAIL_AND_END: &[u8] = &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// The compressors, with different settings, that a thread keeps.
const SPARE: usize = 4;

/// Room for block headers.
const HEADS: usize = 64;

struct Spare {
    level: u8,
    window: u8,
    compress: Compress,
}

/// A recently compressed message to several peers.
struct CompressedOnce {
    payload: Bytes,
    level: u8,
    window: u8,
    compressed: Vec<u8>,
}

/// The number of these that a thread keeps: enough for as many broadcasts at the same time.
const LATELY: usize = 8;

/// The largest payload that is kept.
const LATELY_SIZE: usize = 64 * 1024;

thread_local! {
    static LATELY_SHARED: RefCell<VecDeque<CompressedOnce>> = const { RefCell::new(VecDeque::new()) };
    static COMPRESS: RefCell<Vec<Spare>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESS: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// Compresses the messages to one peer.
pub(super) struct Deflater {
    agreed: Agreed,
    /// Present only if messages may refer to earlier ones; otherwise the thread's compressor is used.
    own: Option<Box<Compress>>,
}

impl Deflater {
    pub(super) fn new(agreed: Agreed) -> Self {
        Self { agreed, own: None }
    }

    /// Fills an empty buffer with the compressed payload. Returns `false` if the message should be sent uncompressed.
    pub(super) fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        // An empty payload leaves nothing to flush.
        if payload.len() < self.agreed.threshold.max(1) {
            return false;
        }
        let Agreed { level, window, .. } = self.agreed;
        if self.agreed.keeps_window {
            let own = self
                .own
                .get_or_insert_with(|| Box::new(compressor(level, window)));
            let is_whole = deflate(own, payload, out);
            if !is_whole {
                self.own = None;
            }
            return is_whole;
        }
        COMPRESS.with_borrow_mut(|spares| {
            let of_settings = |spare: &Spare| (spare.level, spare.window) == (level, window);
            let index = spares.iter().position(of_settings).unwrap_or_else(|| {
                spares.truncate(SPARE - 1);
                let compress = compressor(level, window);
                spares.insert(
                    0,
                    Spare {
                        level,
                        window,
                        compress,
                    },
                );
                0
            });
            let compress = &mut spares[index].compress;
            compress.reset();
            deflate(compress, payload, out)
        })
    }

    /// Compresses a payload that may go to other peers too: once for all of them on this thread.
    pub(super) fn deflate_shared(&mut self, payload: &Bytes, out: &mut Vec<u8>) -> bool {
        let Agreed { level, window, .. } = self.agreed;
        if self.agreed.keeps_window || payload.is_unique() || payload.len() > LATELY_SIZE {
            return self.deflate(payload, out);
        }
        LATELY_SHARED.with_borrow_mut(|lately| {
            // The cached `Bytes` keeps its allocation alive, so an equal pointer means the same payload.
            let same = |shared: &&CompressedOnce| {
                (shared.payload.as_ptr(), shared.payload.len()) == (payload.as_ptr(), payload.len())
                    && (shared.level, shared.window) == (level, window)
            };
            if let Some(shared) = lately.iter().find(same) {
                out.extend_from_slice(&shared.compressed);
                return true;
            }
            let is_deflated = self.deflate(payload, out);
            if is_deflated {
                lately.truncate(LATELY - 1);
                lately.push_front(CompressedOnce {
                    payload: payload.clone(),
                    level,
                    window,
                    compressed: out.clone(),
                });
            }
            is_deflated
        })
    }
}

/// Inflates the messages of one peer.
pub(super) struct Inflater {
    window: Option<u8>,
    /// Present only if messages may refer to earlier ones; otherwise the thread's decompressor is used.
    own: Option<Box<Decompress>>,
}

impl Inflater {
    pub(super) fn new(agreed: Agreed) -> Self {
        Self {
            window: agreed.client_window,
            own: None,
        }
    }

    /// The content of a compressed payload. Fails if it is larger than `limit` bytes.
    pub(super) fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<Bytes, Close> {
        let mut out = Output::take();
        let result = self.inflate_to(payload, limit, &mut out.bytes);
        let inflated = result.map(|()| unmasked(&out.bytes, [0; 4]));
        out.give();
        inflated
    }

    fn inflate_to(&mut self, payload: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Close> {
        if let Some(window) = self.window {
            let own = self.own.get_or_insert_with(|| {
                // zlib treats 8 as 9.
                let window = window.max(9);
                Box::new(Decompress::new_with_window_bits(false, window))
            });
            return inflate(own, payload, TAIL, limit, out);
        }
        DECOMPRESS.with_borrow_mut(|spare| {
            let decompress = spare.get_or_insert_with(|| Decompress::new(false));
            decompress.reset(false);
            inflate(decompress, payload, TAIL_AND_END, limit, out)
        })
    }
}

fn compressor(level: u8, window: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(level.into()), false, window)
}

/// Returns whether the payload was compressed completely, which is expected.
fn deflate(compress: &mut Compress, payload: &[u8], out: &mut Vec<u8>) -> bool {
    let start = compress.total_in();
    out.reserve(payload.len() / 2 + HEADS);
    loop {
        let done = (compress.total_in() - start) as usize;
        if compress
            .compress_vec(&payload[done..], out, FlushCompress::Sync)
            .is_err()
        {
            return false;
        }
        // A full buffer may mean that there is more to come.
        if out.len() < out.capacity() {
            break;
        }
        out.reserve(payload.len() / 2 + HEADS);
    }
    let is_whole = out.ends_with(TAIL);
    out.truncate(out.len().saturating_sub(TAIL.len()));
    is_whole
}

fn inflate(
    decompress: &mut Decompress,
    payload: &[u8],
    tail: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Close> {
    let status = run(decompress, payload, limit, out)?;
    if status == Status::StreamEnd {
        // The message ended with a final block (RFC 7692, section 7.2.3.4).
        decompress.reset(false);
        return Ok(());
    }
    let inflated = out.len();
    let status = run(decompress, tail, limit, out)?;
    // A truncated message consumes the tail as its own data.
    let is_whole = out.len() == inflated && (tail == TAIL || status == Status::StreamEnd);
    if is_whole { Ok(()) } else { Err(invalid()) }
}

/// Inflates all of the input, and at most `limit` bytes of output.
fn run(
    decompress: &mut Decompress,
    mut input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<Status, Close> {
    loop {
        if out.len() == out.capacity() {
            // One byte more than allowed, to detect that the output is too large.
            let wanted = (4 * input.len()).max(out.len()) + HEADS;
            let most = limit.saturating_add(1).saturating_sub(out.len());
            out.reserve_exact(wanted.min(most).max(1));
        }
        let before = (decompress.total_in(), out.len());
        let status = decompress
            .decompress_vec(input, out, FlushDecompress::None)
            .map_err(|_| invalid())?;
        let after = (decompress.total_in(), out.len());
        input = &input[(after.0 - before.0) as usize..];
        if out.len() > limit {
            return Err(too_big(limit));
        }
        match status {
            Status::StreamEnd if input.is_empty() => return Ok(status),
            Status::StreamEnd => decompress.reset(false),
            _ if input.is_empty() && out.len() < out.capacity() => return Ok(status),
            _ if before == after => return Err(invalid()),
            _ => {}
        }
    }
}

fn invalid() -> Close {
    Close::new(CloseCode::INVALID_PAYLOAD, "invalid compressed data")
}
