//! Compressed messages (RFC 7692), written and read with flate2 alone.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::soon;

/// Reads a frame: its first byte and its payload.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let first = soon(stream.read_u8()).await.expect("a frame");
    let len = match soon(stream.read_u8()).await.expect("a length") {
        126 => soon(stream.read_u16()).await.expect("a length").into(),
        short => usize::from(short),
    };
    let mut payload = vec![0; len];
    soon(stream.read_exact(&mut payload))
        .await
        .expect("a payload");
    (first, payload)
}

/// Compresses a message that may refer to earlier ones.
pub fn compress(compress: &mut Compress, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 100);
    compress
        .compress_vec(payload, &mut out, FlushCompress::Sync)
        .expect("it compresses");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// Compresses a message on its own.
pub fn alone(payload: &[u8]) -> Vec<u8> {
    compress(
        &mut Compress::new(flate2::Compression::best(), false),
        payload,
    )
}

/// Inflates a message.
pub fn inflate(decompress: &mut Decompress, payload: &[u8]) -> Vec<u8> {
    let payload = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(100_000);
    decompress
        .decompress_vec(&payload, &mut out, FlushDecompress::None)
        .expect("it is compressed");
    out
}
