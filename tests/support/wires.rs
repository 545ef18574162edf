//! Every transport that a server supports, and the same client over each of them.

use std::{
    fs, io,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional, duplex},
    net::TcpStream,
    task::AbortHandle,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use wasabi::{Gateway, Server, Tls, rustls::pki_types::ServerName};

use crate::{TestServer, authority::Authority, http2::Http2, raw::HANDSHAKE, serve_with, soon};

/// The transport of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 over TCP.
    Tcp,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/1.1 over a Unix socket.
    #[cfg(unix)]
    Unix,
    /// An HTTP/2 stream over TCP.
    Http2,
    /// An HTTP/2 stream over TLS.
    Http2Tls,
}

/// Every transport.
pub const EVERY: &[Wire] = &[
    Wire::Tcp,
    Wire::Tls,
    #[cfg(unix)]
    Wire::Unix,
    Wire::Http2,
    Wire::Http2Tls,
];

/// Runs a test over every transport; a failing one's output names the transport.
pub async fn over_every_wire(test: impl AsyncFn(Wire)) {
    for wire in EVERY {
        println!("over {wire:?}");
        test(*wire).await;
    }
}

/// A server that listens on one transport.
pub struct Wired {
    /// The server.
    pub server: TestServer,
    wire: Wire,
    authority: Authority,
    folder: Folder,
}

/// The client's end of a WebSocket, after the handshake. Dropping it closes the socket, with all its HTTP/2 streams.
pub struct Line {
    io: Pin<Box<dyn Stream>>,
    socket: Option<AbortHandle>,
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl Wire {
    /// Whether this is an HTTP/2 stream.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2Tls)
    }

    /// Serves a gateway.
    pub async fn serve(self, gateway: Gateway) -> Wired {
        self.serve_with(gateway, |server| server).await
    }

    /// Serves a gateway with a server that `change` has adjusted.
    pub async fn serve_with(
        self,
        gateway: Gateway,
        change: impl FnOnce(Server) -> Server,
    ) -> Wired {
        let (authority, folder) = (Authority::new(), Folder::new());
        let server = serve_with(gateway, |server| {
            let server = change(server).http2_streams(100);
            match self {
                Self::Tcp | Self::Http2 => server,
                Self::Tls | Self::Http2Tls => {
                    authority.write_server(&folder.0);
                    let [certificate, key] =
                        ["cert.pem", "key.pem"].map(|name| folder.0.join(name));
                    server.tls(Tls::from_pem(certificate, key).expect("TLS"))
                }
                #[cfg(unix)]
                Self::Unix => server.also_bind(folder.socket()),
            }
        })
        .await;
        Wired {
            server,
            wire: self,
            authority,
            folder,
        }
    }
}

impl Wired {
    /// Opens a WebSocket at this path.
    pub async fn open(&self, path: &str) -> Line {
        match self.ask(path).await {
            Ok(line) => line,
            Err(status) => panic!("refused with {status}"),
        }
    }

    async fn ask(&self, path: &str) -> Result<Line, u16> {
        match self.wire {
            Wire::Tcp => upgraded(self.server.tcp().await, path).await,
            Wire::Tls => upgraded(self.tls(b"http/1.1").await, path).await,
            #[cfg(unix)]
            Wire::Unix => {
                let address = self.folder.socket();
                let address = address.strip_prefix("unix:").unwrap_or_default();
                let io = soon(UnixStream::connect(address)).await;
                upgraded(io.expect("a Unix socket"), path).await
            }
            Wire::Http2 => streamed(self.server.tcp().await, path, self).await,
            Wire::Http2Tls => streamed(self.tls(b"h2").await, path, self).await,
        }
    }

    /// Returns the status that answers a handshake at this path.
    pub async fn status(&self, path: &str) -> u16 {
        self.ask(path).await.err().unwrap_or(101)
    }

    /// Opens a WebSocket at this path, for a client that speaks the protocol.
    pub async fn connect(&self, path: &str) -> WebSocketStream<Line> {
        WebSocketStream::from_raw_socket(self.open(path).await, Role::Client, None).await
    }

    async fn tls(&self, protocol: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut config = self.authority.anonymous_client();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let io = self.server.tcp().await;
        soon(connector.connect(name, io)).await.expect("TLS")
    }
}

async fn upgraded(mut io: impl Stream + Unpin + 'static, path: &str) -> Result<Line, u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n");
    io.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(io.read_u8()).await.expect("an answer"));
    }
    let head = String::from_utf8_lossy(&head);
    match head.split(' ').nth(1) {
        Some("101") => Ok(Line {
            io: Box::pin(io),
            socket: None,
        }),
        status => Err(status
            .and_then(|status| status.parse().ok())
            .expect("HTTP/1.1")),
    }
}

async fn streamed(
    mut io: impl Stream + Unpin + 'static,
    path: &str,
    wired: &Wired,
) -> Result<Line, u16> {
    // hyper keeps the socket until everything has been sent, so keep it here, where it can be dropped.
    let (near, mut far) = duplex(64 * 1024);
    let socket = tokio::spawn(async move { copy_bidirectional(&mut far, &mut io).await });
    let socket = socket.abort_handle();
    let mut http2 = Http2::over(near, &wired.server.addr.to_string()).await;
    let response = http2.ask(path, &[]).await;
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let io = soon(hyper::upgrade::on(response)).await.expect("HTTP/2");
    Ok(Line {
        io: Box::pin(hyper_util::rt::TokioIo::new(io)),
        socket: Some(socket),
    })
}

impl Line {
    /// Resets the HTTP/2 stream; its socket stays open until the returned value is dropped.
    pub fn reset(mut self) -> impl Sized {
        let socket = self.socket.take().expect("HTTP/2");
        drop(self);
        Gone(socket)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            socket.abort();
        }
    }
}

struct Gone(AbortHandle);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(cx)
    }
}

/// A folder for a test's files; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wasabi-wire-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    #[cfg(unix)]
    fn socket(&self) -> String {
        format!("unix:{}", self.0.join("socket").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
