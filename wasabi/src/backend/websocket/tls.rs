//! TLS to WebSocket servers.

use std::{io, sync::Arc};

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::backend::tls;

/// Performs the TLS handshake for a host.
pub(super) async fn connect(
    config: Option<&Arc<ClientConfig>>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => tls::http1_config().map_err(io::Error::other)?,
    };
    tls::connect(config, host, stream).await
}
