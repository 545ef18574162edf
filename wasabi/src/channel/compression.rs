//! Compression of messages: a setting of the channel.

mod negotiate;

use std::ops::RangeInclusive;

use crate::mistakes::Mistakes;

/// Compression of a channel's messages with permessage-deflate (RFC 7692), for clients that offer it, as browsers do.
///
/// ```
/// use wasabi::prelude::*;
///
/// let gateway = gateway!(channel(
///     "/",
///     compression = Compression::deflate().threshold(4KiB),
///     async |message: Message| message,
/// ));
/// ```
///
/// A client whose offers are all unacceptable is connected without compression. Connections to the upstreams of a
/// [`WebSocket`](crate::WebSocket) backend are never compressed.
///
/// # What it costs
///
/// Each message is compressed on its own unless [`context_takeover`](Self::context_takeover) is set. The memory for
/// that belongs to the server's threads, about 0.4 MB each, and an idle connection costs no more than without
/// compression. JSON of 4 KiB shrinks to a quarter of its size in about 15 µs. A broadcast of up to 64 KiB is
/// compressed once per thread; each thread remembers eight of them.
///
/// `max_message_size` applies to the inflated content of a message: the gateway inflates no more than that, and closes
/// the connection with 1009 if there is more. A message that cannot be inflated closes it with 1007.
///
/// # Secrets
///
/// An attacker who can choose part of a message and sees its compressed length can find out what else is in it, even
/// through TLS. Do not compress messages that combine secrets with text that others choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    is_on: bool,
    threshold: usize,
    level: u8,
    /// The base-2 logarithm of the window size kept between messages.
    kept_window: Option<u8>,
    mistakes: Mistakes,
}

const LEVELS: RangeInclusive<u8> = 1..=9;

/// The protocol allows 8 to 15 (RFC 7692, section 7.1.2), but zlib cannot compress with a window of 8.
const WINDOW_BITS: RangeInclusive<u8> = 9..=15;

impl Compression {
    /// Uses permessage-deflate with the defaults below.
    pub fn deflate() -> Self {
        Self {
            is_on: true,
            threshold: 1024,
            level: 2,
            kept_window: None,
            mistakes: Mistakes::default(),
        }
    }

    /// Disables compression, for one channel of a gateway whose other channels compress.
    pub fn none() -> Self {
        Self {
            is_on: false,
            ..Self::deflate()
        }
    }

    /// The minimum size of a compressed message in bytes, 1 KiB by default: a smaller one fits into one packet with or
    /// without compression. Empty messages are never compressed. The setting does not affect what the client
    /// compresses.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The compression level, from 1, the fastest, to 9, the smallest; 2 by default. For JSON, level 1 takes half the
    /// time of 2 and produces a third more bytes; 6 takes up to five times as long for a tenth less. A level outside
    /// this range is a mistake.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = self.mistakes.between("Compression::level", level, LEVELS);
        self
    }

    /// Lets a message refer to earlier ones, within the last 2^`window_bits` bytes; 9 to 15, and a number outside this
    /// range is a mistake. Without it, every message is compressed on its own.
    ///
    /// Similar messages become much smaller. But **each connection** then has its own context, from the first
    /// compressed message in each direction on: 320 KB for sending, 190 KB with the smallest window, and 48 KB for
    /// receiving.
    ///
    /// A client that offers `server_no_context_takeover` gets messages that are each compressed on their own. A client
    /// that does not offer `client_max_window_bits` cannot limit its window, so it must compress each of its messages
    /// on its own unless `window_bits` is 15.
    #[must_use]
    pub fn context_takeover(mut self, window_bits: u8) -> Self {
        let call = "Compression::context_takeover";
        self.kept_window = Some(self.mistakes.between(call, window_bits, WINDOW_BITS));
        self
    }

    pub(crate) fn mistakes(&self) -> &Mistakes {
        &self.mistakes
    }
}
