//! How clients come: over HTTP/1.1, on a stream of HTTP/2 that they share with others, or over TLS to a proxy in front.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::{Method, Request};
use hyper::{
    client::conn::http2::{Builder, SendRequest},
    ext::Protocol,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: soak\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Where a client comes from.
#[derive(Clone)]
pub(crate) enum Road {
    Http1,
    /// The socket is opened by the first who needs it, and again when it is gone.
    Http2(Arc<Mutex<Option<SendRequest<Body>>>>),
    /// Over HTTP/1.1 to a proxy that ends TLS.
    Proxied(TlsConnector),
}

impl Road {
    pub(crate) fn http2() -> Self {
        Self::Http2(Arc::default())
    }

    /// A connection after its handshake; `None` when the gateway was too busy for it.
    pub(crate) async fn open(&self, addr: SocketAddr, path: &str) -> Option<Line> {
        match self {
            Self::Http1 => Some(Line::Tcp(
                upgrade(TcpStream::connect(addr).await.ok()?, path).await?,
            )),
            Self::Proxied(connector) => {
                tls(connector, TcpStream::connect(addr).await.ok()?, path).await
            }
            Self::Http2(shared) => {
                let mut requests = {
                    let mut shared = shared.lock().await;
                    match &*shared {
                        Some(requests) if !requests.is_closed() => requests.clone(),
                        _ => shared.insert(http2(addr).await?).clone(),
                    }
                };
                requests.ready().await.ok()?;
                let request = Request::builder()
                    .method(Method::CONNECT)
                    .uri(format!("http://{addr}{path}"))
                    .header("sec-websocket-version", "13")
                    .extension(Protocol::from_static("websocket"))
                    .body(Body::empty());
                let response = requests
                    .send_request(request.expect("a request"))
                    .await
                    .ok()?;
                assert_eq!(response.status(), 200);
                let upgraded = hyper::upgrade::on(response).await.ok()?;
                Some(Line::Stream(TokioIo::new(upgraded)))
            }
        }
    }
}

async fn http2(addr: SocketAddr) -> Option<SendRequest<Body>> {
    let stream = TcpStream::connect(addr).await.ok()?;
    let client = Builder::new(TokioExecutor::new())
        // What a client does not read stays with the gateway.
        .initial_stream_window_size(65_535)
        .handshake(TokioIo::new(stream));
    let (requests, connection) = client.await.ok()?;
    tokio::spawn(connection);
    Some(requests)
}

/// Over TLS to a proxy. `None` also when that says that the gateway was too busy.
async fn tls(connector: &TlsConnector, stream: TcpStream, path: &str) -> Option<Line> {
    let name = "127.0.0.1".try_into().expect("a name");
    let mut stream = connector.connect(name, stream).await.ok()?;
    stream.write_all(handshake(path).as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let is_busy = [b"HTTP/1.1 502", b"HTTP/1.1 503", b"HTTP/1.1 504"];
    if is_busy.iter().any(|busy| head.starts_with(*busy)) {
        return None;
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    Some(Line::Tls(Box::new(stream)))
}

/// A connection with a small buffer, so that what its client does not read stays with the gateway.
pub(crate) async fn narrow(addr: SocketAddr, path: &str) -> Option<Line> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_recv_buffer_size(8 * 1024).ok()?;
    Some(Line::Tcp(
        upgrade(socket.connect(addr).await.ok()?, path).await?,
    ))
}

async fn upgrade(mut stream: TcpStream, path: &str) -> Option<TcpStream> {
    stream.write_all(handshake(path).as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    Some(stream)
}

/// The bytes of a WebSocket.
pub(crate) enum Line {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Stream(TokioIo<Upgraded>),
}

impl Line {
    /// Ends it at once; dropping a stream of HTTP/2 resets it.
    pub(crate) fn reset(self) {
        let stream = match &self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Stream(_) => return,
        };
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

macro_rules! each {
    ($line:expr, $io:ident => $call:expr) => {
        match $line {
            Line::Tcp($io) => $call,
            Line::Tls($io) => $call,
            Line::Stream($io) => $call,
        }
    };
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), io => Pin::new(io).poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}
