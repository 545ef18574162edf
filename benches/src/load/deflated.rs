//! Messages with permessage-deflate (RFC 7692), each compressed on its own.

use std::fmt::Write;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What the client offers, and the server must accept as it is.
pub(super) const OFFER: &str =
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover";

/// What a flush writes at the end, and a message leaves out (section 7.2.1).
const END: [u8; 4] = [0, 0, 0xff, 0xff];

/// The bits of the first byte of a frame that say that its message is compressed.
pub(super) const COMPRESSED: u8 = 0x40;

/// A JSON object of this size: orders that differ in their figures.
pub(super) fn json(connection: usize, size: usize) -> String {
    let mut text = format!(r#"{{"from":"{connection:06}","orders":["#);
    let mut figure = connection as u32;
    loop {
        figure = figure.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (id, price, amount) = (figure >> 8, figure % 10_000, figure >> 25);
        let order = format!(
            r#"{{"id":{id},"symbol":"ACME","side":"buy","price":{}.{:02},"amount":{amount}}},"#,
            price / 100,
            price % 100,
        );
        if text.len() + order.len() + 20 > size {
            break;
        }
        text += &order;
    }
    let fill = size.saturating_sub(text.len() + r#"{"note":""}]}"#.len());
    let _ = write!(text, r#"{{"note":"{}"}}]}}"#, "x".repeat(fill));
    text
}

/// The payload of a compressed message.
pub(super) fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut compress = Compress::new(Compression::new(2), false);
    // Everything fits.
    let _ = compress.compress_vec(message, &mut out, FlushCompress::Sync);
    out.truncate(out.len() - END.len());
    out
}

/// Whether a compressed message is this one.
pub(super) fn inflates_to(payload: &[u8], message: &[u8]) -> bool {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut decompress = Decompress::new(false);
    let mut payload = payload.to_vec();
    payload.extend(END);
    let inflated = decompress.decompress_vec(&payload, &mut out, FlushDecompress::Sync);
    inflated.is_ok() && out == message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_of_the_size_that_was_asked_for_and_shrinks() {
        let message = json(42, 4096);
        assert_eq!(message.len(), 4096);
        let parsed: serde_json::Value = serde_json::from_str(&message).expect("JSON");
        assert_eq!(parsed["from"], "000042");
        let payload = deflate(message.as_bytes());
        assert!(payload.len() < 2000 && inflates_to(&payload, message.as_bytes()));
        assert!(!inflates_to(&payload, json(43, 4096).as_bytes()));
    }
}
