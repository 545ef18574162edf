//! The answer to a WebSocket handshake, over HTTP/1.1 or over an HTTP/2 stream, and the stream that it leaves.

pub(crate) mod answer;
mod refused;
pub(crate) mod stream;

use std::time::Duration;

pub(crate) use self::refused::close_after_upgrade;

/// How long a stream may take after the answer to its handshake.
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
