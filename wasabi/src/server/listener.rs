//! What a server listens on.

use std::{fmt, io, net::SocketAddr, time::Duration};
#[cfg(unix)]
use std::{os::unix::fs::FileTypeExt, path::PathBuf};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::transport::Transport;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

/// One client at the other end of an accepted socket.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Marks requests that came through a Unix socket, whose peers have no address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnixPeer;

/// Marks requests that have come over TLS with this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

impl Listener {
    /// Listens on `host:port`, or on `unix:/path`.
    pub(super) async fn bind(address: &str) -> io::Result<Self> {
        match address.strip_prefix("unix:") {
            #[cfg(unix)]
            Some(path) => UnixSocket::bind(path.into()).await.map(Self::Unix),
            #[cfg(not(unix))]
            Some(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no Unix sockets",
            )),
            None => TcpListener::bind(address).await.map(Self::Tcp),
        }
    }

    /// `None` for a Unix socket.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Has the system probe clients that are silent: what is accepted inherits it.
    pub(super) fn keep_alive(&self) {
        let probes = TcpKeepalive::new().with_time(Duration::from_secs(60));
        #[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
        let probes = probes.with_interval(Duration::from_secs(10));
        if let Self::Tcp(listener) = self
            && let Err(error) = SockRef::from(listener).set_tcp_keepalive(&probes)
        {
            tracing::debug!(%error, "no TCP keep-alive");
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok(Accepted::Tcp(stream, addr))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok(Accepted::Unix(stream))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(addr) => addr.fmt(f),
                Err(error) => error.fmt(f),
            },
            #[cfg(unix)]
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

impl Accepted {
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, addr) => Some(*addr),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

impl From<Accepted> for Transport {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Tcp(stream, _) => Self::Tcp(stream),
            #[cfg(unix)]
            Accepted::Unix(stream) => Self::Unix(stream),
        }
    }
}

/// A Unix socket; its file goes when it does.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

#[cfg(unix)]
impl UnixSocket {
    async fn bind(path: PathBuf) -> io::Result<Self> {
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                // Left behind by a process that was killed, if it is a socket that nobody answers at.
                let is_socket = std::fs::metadata(&path)?.file_type().is_socket();
                let dead = is_socket
                    && UnixStream::connect(&path)
                        .await
                        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
                if !dead {
                    return Err(error);
                }
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        Ok(Self { listener, path })
    }
}

#[cfg(unix)]
impl Drop for UnixSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
