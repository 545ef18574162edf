//! The answer to a WebSocket handshake, over HTTP/1.1 or over an HTTP/2 stream.

pub(crate) mod answer;
mod refused;

use std::time::Duration;

pub(crate) use self::refused::close_after_upgrade;

/// How long hyper may take to hand over the stream after the response.
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
