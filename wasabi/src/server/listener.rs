//! The sockets that a server listens on.

use std::{fmt, io, net::SocketAddr};
#[cfg(unix)]
use std::{
    fs::Metadata,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::PathBuf,
};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::proxied;
use crate::{connection::transport::Transport, tcp};

/// How many bytes the system accepts beyond those on their way to a client (`TCP_NOTSENT_LOWAT`). The system reports
/// room when half of them have gone, and accepts more than this in a single write.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOT_SENT: u32 = 16 * 1024;

/// The size of the send buffer of a Unix socket in bytes. Linux doubles it, and counts its own overhead against it.
#[cfg(unix)]
const UNIX_SEND_BUFFER: usize = 32 * 1024;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
    /// A socket whose file we must not remove.
    #[cfg(unix)]
    GivenUnix(UnixListener),
}

/// A listener that is already open, for [`Server::on`](crate::Server::on): one of the standard library or of tokio, for
/// TCP or, on Unix, for a Unix socket.
#[derive(Debug)]
pub struct OpenListener(pub(super) io::Result<Listener>);

impl From<std::net::TcpListener> for OpenListener {
    fn from(listener: std::net::TcpListener) -> Self {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(listener));
        Self(listener.map(Listener::Tcp))
    }
}

impl From<TcpListener> for OpenListener {
    fn from(listener: TcpListener) -> Self {
        Self(Ok(Listener::Tcp(listener)))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for OpenListener {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener));
        Self(listener.map(Listener::GivenUnix))
    }
}

#[cfg(unix)]
impl From<UnixListener> for OpenListener {
    fn from(listener: UnixListener) -> Self {
        Self(Ok(Listener::GivenUnix(listener)))
    }
}

/// An accepted socket with one client at the other end.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Listens on `host:port`, or on `unix:/path` with these permissions.
    pub(super) async fn bind(address: &str, unix_mode: Option<u32>) -> io::Result<Self> {
        match address.strip_prefix("unix:") {
            #[cfg(unix)]
            Some(path) => UnixSocket::bind(path.into(), unix_mode)
                .await
                .map(Self::Unix),
            #[cfg(not(unix))]
            Some(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no Unix sockets",
            )),
            None => {
                #[cfg(not(unix))]
                let _ = unix_mode;
                TcpListener::bind(address).await.map(Self::Tcp)
            }
        }
    }

    /// Returns `None` for a Unix socket.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) | Self::GivenUnix(_) => None,
        }
    }

    /// Makes the system probe silent clients. Accepted sockets inherit the setting.
    pub(super) fn keep_alive(&self) {
        if let Self::Tcp(listener) = self {
            tcp::keep_alive(&SockRef::from(listener));
        }
    }

    /// Makes the system accept little more than is on its way to a client. Otherwise, bytes that the system has
    /// accepted but a slow client has not taken look like a long time without progress. Accepted sockets inherit the
    /// setting.
    pub(super) fn take_little(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Tcp(listener) = self
            && let Err(error) = SockRef::from(listener).set_tcp_notsent_lowat(NOT_SENT)
        {
            tracing::debug!(%error, "cannot set TCP_NOTSENT_LOWAT");
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
                // The Unix socket counterpart: the system reports room when a quarter of the buffer is left.
                let _ = SockRef::from(&stream).set_send_buffer_size(UNIX_SEND_BUFFER);
                Ok(Accepted::Unix(stream))
            }
            #[cfg(unix)]
            Self::GivenUnix(listener) => {
                let (stream, _) = listener.accept().await?;
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
            #[cfg(unix)]
            Self::GivenUnix(listener) => match listener.local_addr() {
                Ok(addr) => match addr.as_pathname() {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("a Unix socket without a name"),
                },
                Err(error) => error.fmt(f),
            },
        }
    }
}

impl Accepted {
    /// Reads the client's address from the proxy's header.
    pub(super) async fn told(&mut self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(stream, _) => proxied::client(stream).await,
            #[cfg(unix)]
            Self::Unix(stream) => proxied::client(stream).await,
        }
    }

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

/// A Unix socket; dropping it removes its file, if that is still its own.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: Option<File>,
}

/// Identifies a file.
#[cfg(unix)]
#[derive(Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
impl From<Metadata> for File {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

#[cfg(unix)]
impl UnixSocket {
    async fn bind(path: PathBuf, mode: Option<u32>) -> io::Result<Self> {
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                // If this is a socket that no process answers, a killed process left it behind.
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
        let file = std::fs::symlink_metadata(&path).ok().map(File::from);
        let socket = Self {
            listener,
            path,
            file,
        };
        if let Some(mode) = mode {
            std::fs::set_permissions(&socket.path, PermissionsExt::from_mode(mode))?;
        }
        Ok(socket)
    }
}

#[cfg(unix)]
impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another process may have created its own socket at this path.
        let there = std::fs::symlink_metadata(&self.path).ok().map(File::from);
        if there.is_some() && there == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
