//! Why there is no connection.

use http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Why there is no connection.
pub(super) struct Lost {
    pub(super) code: u16,
    pub(super) reason: String,
    /// Whether the gateway has too much to do.
    pub(super) is_busy: bool,
}

/// There was no close code.
pub(super) const ABNORMAL: u16 = 1006;

impl Lost {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            code: ABNORMAL,
            reason: reason.into(),
            is_busy: false,
        }
    }

    pub(super) fn refused(status: StatusCode) -> Self {
        let busy = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        Self {
            is_busy: busy.contains(&status),
            ..Self::new(format!("the gateway refused the handshake: {status}"))
        }
    }

    pub(super) fn closed(frame: Option<&CloseFrame>) -> Self {
        let Some(frame) = frame else {
            return Self::new("the gateway closed the connection without a code");
        };
        let code = u16::from(frame.code);
        Self {
            code,
            reason: format!(
                "the gateway closed the connection: {code} {:?}",
                frame.reason.as_str()
            ),
            // Restart, try again later, too many requests.
            is_busy: matches!(code, 1012 | 1013 | 4429),
        }
    }
}
