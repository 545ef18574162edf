//! TLS to WebSocket servers.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::backend::tls;

/// Trusts the certificates that the system trusts, and speaks HTTP/1.1.
pub(super) fn default_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let make = || {
        let mut config = ClientConfig::clone(&*tls::default_config()?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    };
    CONFIG.get_or_init(make).clone()
}

/// Performs the TLS handshake for a host.
pub(super) async fn connect(
    config: Option<&Arc<ClientConfig>>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => default_config().map_err(io::Error::other)?,
    };
    tls::connect(config, host, stream).await
}
