//! An upstream whose connections the test controls.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::soon;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Uri};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A WebSocket server.
pub struct Upstream {
    /// The address that it listens on.
    pub addr: SocketAddr,
    dials: Arc<AtomicUsize>,
    peers: mpsc::UnboundedReceiver<Peer>,
    accepting: JoinHandle<()>,
}

/// One of its connections.
pub struct Peer {
    /// The connection.
    pub socket: WebSocketStream<TcpStream>,
    /// The URI of the handshake.
    pub uri: Uri,
    /// The headers of the handshake.
    pub headers: HeaderMap,
}

impl Upstream {
    /// Starts it on its own address, where nothing takes the port while it restarts.
    pub async fn start() -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let [.., high, low] = std::process::id().to_be_bytes();
        let n = STARTED.fetch_add(1, Ordering::SeqCst) % 250 + 1;
        Self::start_at(([127, 100 + high % 100, low, n as u8], 0).into()).await
    }

    /// Starts it on this address, as soon as the address is free.
    pub async fn start_at(addr: SocketAddr) -> Self {
        let listener = soon(async {
            loop {
                match TcpListener::bind(addr).await {
                    Err(error) if error.kind() == ErrorKind::AddrInUse => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    listener => return listener.expect("bind"),
                }
            }
        })
        .await;
        let (send, peers) = mpsc::unbounded_channel();
        let dials = Arc::new(AtomicUsize::new(0));
        let (addr, counter) = (listener.local_addr().expect("address"), Arc::clone(&dials));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let send = send.clone();
                tokio::spawn(async move {
                    if let Some(peer) = Peer::shake_hands(stream).await {
                        let _ = send.send(peer);
                    }
                });
            }
        });
        Self {
            addr,
            dials,
            peers,
            accepting,
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    /// The number of TCP connections so far.
    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// Waits for the next connection.
    pub async fn accept(&mut self) -> Peer {
        soon(self.peers.recv()).await.expect("a connection")
    }

    /// Echoes every message, on every connection, until the handle is aborted.
    pub fn echo(mut self) -> AbortHandle {
        tokio::spawn(async move {
            while let Some(mut peer) = self.peers.recv().await {
                tokio::spawn(async move {
                    while let Some(Ok(message)) = peer.socket.next().await {
                        if !message.is_close() && peer.socket.send(message).await.is_err() {
                            break;
                        }
                    }
                });
            }
        })
        .abort_handle()
    }

    /// Stops listening; open connections live on. Returns the address.
    pub async fn stop(self) -> SocketAddr {
        self.accepting.abort();
        let _ = self.accepting.await;
        self.addr
    }
}

impl Peer {
    async fn shake_hands(stream: TcpStream) -> Option<Self> {
        let (mut uri, mut headers) = (Uri::default(), HeaderMap::new());
        #[allow(clippy::result_large_err)] // the type is tungstenite's
        let look = |request: &Request, mut response: Response| {
            uri = request.uri().clone();
            headers = request.headers().clone();
            if let Some(offered) = headers.get("sec-websocket-protocol") {
                let offered = offered.to_str().expect("text");
                if offered != "refused" {
                    let chosen = HeaderValue::from_str(offered).expect("a header");
                    response
                        .headers_mut()
                        .insert("sec-websocket-protocol", chosen);
                }
            }
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look)
            .await
            .ok()?;
        Some(Self {
            socket,
            uri,
            headers,
        })
    }

    /// Sends a message.
    pub async fn send(&mut self, message: impl Into<Message>) {
        soon(self.socket.send(message.into())).await.expect("send");
    }

    /// Returns the next message; fails the test if none comes.
    pub async fn next(&mut self) -> Message {
        match soon(self.socket.next()).await {
            Some(Ok(message)) => message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// Returns the text of the next message.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// Waits for the end; returns the code and reason of the close frame: 1005 if the frame has no code, 1006 without a
    /// frame.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return (1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (1006, String::new()),
            }
        }
    }

    /// Starts the closing handshake.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.to_owned().into(),
        };
        soon(self.socket.close(Some(frame))).await.expect("close");
    }

    /// Ends without a close frame: with a FIN.
    pub fn crash(self) {
        drop(self);
    }

    /// Ends without a close frame: with a RST.
    pub fn reset(self) {
        SockRef::from(self.socket.get_ref())
            .set_linger(Some(Duration::ZERO))
            .expect("SO_LINGER");
    }
}
