//! Compression of messages: the setting of a channel.

mod negotiate;

use std::ops::RangeInclusive;

use crate::mistakes::Mistakes;

/// Compression of a channel's messages: permessage-deflate (RFC 7692), for the clients that offer it; browsers do.
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
/// A client that offers nothing that can be agreed upon is connected without compression. Connections to the upstreams
/// of a [`WebSocket`](crate::WebSocket) backend are never compressed.
///
/// # What it costs
///
/// Each message is compressed for itself unless [`context_takeover`](Self::context_takeover) is set: what it takes
/// belongs to the threads of the server, about 0.4 MB each, and an idle connection costs what it costs without
/// compression. JSON of 4 KiB becomes a quarter of its size in about 15 µs. A broadcast of up to 64 KiB is compressed
/// once on each thread; a thread remembers eight of them.
///
/// `max_message_size` holds for what is in a compressed message: no more than that is inflated, and one in which there
/// is more closes the connection with 1009. One that cannot be inflated closes it with 1007.
///
/// # Secrets
///
/// Who can choose a part of a message and sees how long it becomes can find out what else is in it, also through TLS.
/// Do not compress messages with secrets beside text that others choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    is_on: bool,
    threshold: usize,
    level: u8,
    /// The base-2 logarithm of the window that is kept between messages.
    kept_window: Option<u8>,
    mistakes: Mistakes,
}

const LEVELS: RangeInclusive<u8> = 1..=9;

/// What the protocol allows is 8 to 15 (RFC 7692, section 7.1.2), but zlib compresses with no window of 8.
const WINDOW_BITS: RangeInclusive<u8> = 9..=15;

impl Compression {
    /// permessage-deflate with the defaults below.
    pub fn deflate() -> Self {
        Self {
            is_on: true,
            threshold: 1024,
            level: 2,
            kept_window: None,
            mistakes: Mistakes::default(),
        }
    }

    /// No compression: for a channel of a gateway whose other channels compress.
    pub fn none() -> Self {
        Self {
            is_on: false,
            ..Self::deflate()
        }
    }

    /// Messages of fewer bytes are sent as they are, 1 KiB if not set: such a message fits into one packet with or
    /// without compression. Empty messages are never compressed. What the client compresses does not depend on it.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How much work is put into a message, from 1, the fastest, to 9, the smallest; 2 if not set. Of JSON, 1 takes
    /// half the time of 2 for a third more bytes; 6 takes up to five times as long for a tenth less. A level outside
    /// of this range is a mistake.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = self.mistakes.between("Compression::level", level, LEVELS);
        self
    }

    /// Lets a message refer to those before it, as far as they are within the last 2^`window_bits` bytes; 9 to 15, and
    /// a number outside of this range is a mistake. Without it, every message is compressed for
    /// itself.
    ///
    /// Messages that resemble each other become much smaller. But **each connection** then has a context of its own,
    /// from the first compressed message in each direction on: 320 KB for what is sent, 190 KB with the smallest
    /// window, and 48 KB for what comes in.
    ///
    /// A client that offers `server_no_context_takeover` gets messages that are compressed for themselves. One that does
    /// not offer `client_max_window_bits`, and so cannot limit its window, must send such ones unless `window_bits` is 15.
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
