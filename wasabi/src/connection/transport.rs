//! The byte streams that connections run on.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
    time::timeout,
};
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

#[cfg(feature = "tls")]
use super::PeerCertificates;
use super::{linger, socket::HangUp};

/// The stream of a connection, before and after the upgrade.
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// Boxed: the state of TLS is many times larger than a socket.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    /// A stream of HTTP/2, or of another server.
    Upgraded(Box<TokioIo<Upgraded>>),
}

/// Takes a stream back from hyper after the upgrade, with the bytes already read from it. Fails for a stream that is not
/// a socket of its own.
pub(crate) type TakeBack = fn(Upgraded) -> Result<(Transport, Vec<u8>), Upgraded>;

/// How long to read and discard bytes from a client that broke the protocol.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// The most bytes per write to an HTTP/2 stream.
const UPGRADED_WRITE: usize = 16 * 1024;

impl Transport {
    /// The stream of an upgraded connection, and the bytes already read from it. `take_back` belongs to the server that
    /// has given the stream to hyper.
    pub(crate) fn of(upgraded: Upgraded, take_back: Option<TakeBack>) -> (Self, Vec<u8>) {
        let taken = match take_back {
            Some(take_back) => take_back(upgraded),
            None => Err(upgraded),
        };
        taken.unwrap_or_else(|upgraded| {
            let io = Box::new(TokioIo::new(upgraded));
            (Self::Upgraded(io), Vec::new())
        })
    }

    /// The client's certificates from the TLS handshake.
    #[cfg(feature = "tls")]
    pub(crate) fn peer_certificates(&self) -> Option<PeerCertificates> {
        match self {
            Self::Tls(io) => PeerCertificates::of(io.get_ref().1.peer_certificates()),
            _ => None,
        }
    }

    /// Tells the peer that nothing was cut off, if the transport can.
    pub(crate) async fn finish(&mut self) {
        let has_way = match self {
            Self::Tcp(_) => false,
            #[cfg(unix)]
            Self::Unix(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
            Self::Upgraded(_) => true,
        };
        if has_way {
            let _ = self.shutdown().await;
        }
    }

    /// Lets the close frame arrive: closing a socket with unread bytes resets the connection.
    pub(crate) async fn linger(mut self) {
        let _ = timeout(LINGER, async {
            let _ = self.shutdown().await;
            linger::drain(&mut self).await;
        })
        .await;
    }
}

impl HangUp for Transport {
    fn has_hung_up(&mut self, cx: &mut Context<'_>) -> bool {
        let now = match self {
            Self::Tcp(io) => io.ready(Interest::READABLE).now_or_never(),
            #[cfg(unix)]
            Self::Unix(io) => io.ready(Interest::READABLE).now_or_never(),
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.get_ref().0.ready(Interest::READABLE).now_or_never(),
            // The writing half of an HTTP/2 stream fails without a write once the stream was reset or its socket is
            // gone. Other servers' streams have nothing to flush, or return an error too.
            Self::Upgraded(io) => {
                return matches!(Pin::new(io).poll_flush(cx), Poll::Ready(Err(_)));
            }
        };
        matches!(now, Some(Ok(ready)) if ready.is_read_closed())
    }
}

/// Makes the same call on whichever stream it is.
macro_rules! each {
    ($transport:expr, $io:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($io) => $call,
            #[cfg(unix)]
            Transport::Unix($io) => $call,
            #[cfg(feature = "tls")]
            Transport::Tls($io) => $call,
            Transport::Upgraded($io) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        // HTTP/2 streams copy all the data they are given, however little the client takes.
        let data = match &*self {
            Self::Upgraded(_) => &data[..data.len().min(UPGRADED_WRITE)],
            _ => data,
        };
        each!(self.get_mut(), io => Pin::new(io).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            // Its writes are limited.
            Self::Upgraded(_) => false,
            transport => each!(transport, io => io.is_write_vectored()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}
