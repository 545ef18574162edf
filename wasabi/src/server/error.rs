//! Why a server could not serve.

use std::io;

#[cfg(feature = "tls")]
use super::TlsError;
use crate::GatewayError;

/// Why a server could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the operating system reports.
        source: io::Error,
    },
    /// All mistakes in the gateway or in the server's settings that could not be found at compile time.
    #[error("the gateway or the server has mistakes:{}", .0.iter().map(|mistake| format!("\n  {mistake}")).collect::<String>())]
    Mistakes(Vec<GatewayError>),
    /// The certificate cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}
