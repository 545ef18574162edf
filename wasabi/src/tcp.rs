//! TCP sockets of clients and to upstreams.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Has the system probe a peer that is silent, so that one that is gone without a word is noticed after a few minutes.
/// What a listener accepts inherits it.
pub(crate) fn keep_alive(socket: &SockRef<'_>) {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(60));
    #[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
    let probes = probes.with_interval(Duration::from_secs(10));
    if let Err(error) = socket.set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "no TCP keep-alive");
    }
}

/// Connects to an upstream.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    keep_alive(&SockRef::from(&stream));
    Ok(stream)
}
