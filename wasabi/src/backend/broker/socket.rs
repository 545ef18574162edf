//! Sockets to brokers, for client libraries that accept one.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

#[cfg(feature = "tls")]
pub(crate) use super::tls::TlsSettings as Tls;
use crate::tcp;

/// Without the feature it has no values.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) enum Tls {}

/// With TLS or without.
pub(crate) type Socket = Box<dyn Stream>;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Applies to the socket, and then to the client library's handshake over it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to a host, with TLS if there are settings for it. The certificate must then be valid for this name.
pub(crate) async fn connect(host: &str, port: u16, tls: Option<&Tls>) -> io::Result<Socket> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connecting = async {
        let stream = tcp::connect(host, port).await?;
        match tls {
            None => Ok(Box::new(stream) as Socket),
            #[cfg(feature = "tls")]
            Some(tls) => {
                let config = tls.config().map_err(io::Error::other)?;
                let stream = crate::backend::tls::connect(config, host, stream).await?;
                Ok(Box::new(stream) as Socket)
            }
            #[cfg(not(feature = "tls"))]
            Some(never) => match *never {},
        }
    };
    timeout(CONNECT_TIMEOUT, connecting).await?
}
