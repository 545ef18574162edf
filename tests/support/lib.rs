//! Helpers that the tests share: a gateway on a free port, and a client that never waits for ever.

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// Compiles the programs in the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../docs/guide/01-first-gateway.md")]
    pub struct Page01;
    #[doc = include_str!("../../docs/guide/02-routing.md")]
    pub struct Page02;
    #[doc = include_str!("../../docs/guide/03-replies.md")]
    pub struct Page03;
    #[doc = include_str!("../../docs/guide/04-middleware.md")]
    pub struct Page04;
    #[doc = include_str!("../../docs/guide/05-upstreams.md")]
    pub struct Page05;
    #[doc = include_str!("../../docs/guide/06-queues.md")]
    pub struct Page06;
    #[doc = include_str!("../../docs/guide/07-identity.md")]
    pub struct Page07;
    #[doc = include_str!("../../docs/guide/08-groups.md")]
    pub struct Page08;
    #[doc = include_str!("../../docs/guide/09-production.md")]
    pub struct Page09;
    #[doc = include_str!("../../docs/guide/10-testing.md")]
    pub struct Page10;
    #[doc = include_str!("../../docs/guide/11-json-rpc.md")]
    pub struct Page11;
    #[doc = include_str!("../../docs/guide/12-many-machines.md")]
    pub struct Page12;
    #[doc = include_str!("../../docs/guide/13-asyncapi.md")]
    pub struct Page13;
    #[doc = include_str!("../../docs/guide/14-typescript.md")]
    pub struct Page14;
    #[doc = include_str!("../../docs/guide/15-console.md")]
    pub struct Page15;
    #[doc = include_str!("../../docs/guide/16-management.md")]
    pub struct Page16;
}

pub mod authority;
pub mod broker;
pub mod chaos;
pub mod deflate;
pub mod drain;
pub mod example;
mod gate;
pub mod http2;
pub mod log;
pub mod nats_servers;
pub mod proxy;
pub mod raw;
pub mod redis_servers;
pub mod subscribed;
#[cfg(target_os = "linux")]
pub mod tcp;
pub mod traces;
pub mod upstream;
pub mod websocket_upstream;
pub mod wires;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use wasabi::{Close, Connection, Gateway, ServeError, Server, ServerHandle};

pub use self::gate::Gate;

/// How long anything that is expected to happen may take. Much longer than it usually takes, because a machine may be
/// busy, and less than the default timeouts (10 s and more), so that an ignored setting is noticed.
pub const SOON: Duration = Duration::from_secs(9);

/// Awaits something that must happen soon.
pub async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future)
        .await
        .expect("this should not take so long")
}

/// Waits until a condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(SOON, waiting).await.is_ok(), "never: {what}");
}

/// Serves a router on a free port of the loopback interface; returns the base of its URLs.
pub async fn http_service(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{addr}")
}

/// An `on_disconnect` hook that sends the close codes to the test.
pub fn told() -> (
    impl Fn(Connection, Close) -> std::future::Ready<()> + Send + Sync + 'static,
    mpsc::UnboundedReceiver<u16>,
) {
    let (tell, told) = mpsc::unbounded_channel();
    let hook = move |_: Connection, close: Close| {
        let _ = tell.send(close.code.as_u16());
        std::future::ready(())
    };
    (hook, told)
}

/// A gateway on a free port of the loopback interface.
pub struct TestServer {
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// Stops the server.
    pub handle: ServerHandle,
    task: JoinHandle<Result<(), ServeError>>,
}

/// Serves a gateway with the server's default settings.
pub async fn serve(gateway: Gateway) -> TestServer {
    serve_with(gateway, |server| server).await
}

/// Serves a gateway with a server that `change` has adjusted.
pub async fn serve_with(gateway: Gateway, change: impl FnOnce(Server) -> Server) -> TestServer {
    let server = Server::bind("127.0.0.1:0").signals(false);
    let server = change(server.drain_spread(Duration::ZERO));
    let handle = server.handle();
    let task = tokio::spawn(server.serve(gateway));
    TestServer {
        addr: soon(handle.addr()).await,
        handle,
        task,
    }
}

impl TestServer {
    /// `ws://` and the address, followed by `path`.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    /// Opens a WebSocket.
    pub async fn connect(&self, path: &str) -> Client {
        self.connect_with(path, &[]).await.expect("handshake")
    }

    /// Opens a WebSocket with additional headers, or returns the refusal.
    pub async fn connect_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, Refusal> {
        let mut request = self.url(path).into_client_request().expect("a URL");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        Client::connect(request).await
    }

    /// Opens a WebSocket from another address of the loopback interface.
    pub async fn connect_from(&self, address: impl Into<IpAddr>, path: &str) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        let local = SocketAddr::new(address.into(), 0);
        socket.bind(local).expect("an address of this machine");
        let stream = soon(socket.connect(self.addr))
            .await
            .expect("TCP connection");
        let request = self.url(path).into_client_request().expect("a URL");
        let handshake = client_async(request, MaybeTlsStream::Plain(stream));
        let (socket, response) = soon(handshake).await.expect("handshake");
        Client { socket, response }
    }

    /// Opens a plain TCP connection.
    pub async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("TCP connection")
    }

    /// Sends one HTTP/1.1 request unchanged and returns everything that comes back until the end.
    pub async fn raw(&self, request: &str) -> String {
        let mut stream = self.tcp().await;
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = Vec::new();
        // A server that resets the connection has already sent its answer.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of `GET path`.
    pub async fn get(&self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = self.raw(&request).await;
        answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status in {answer:?}"))
    }

    /// Drains the server and waits until it has ended.
    pub async fn drain(self) -> Result<(), ServeError> {
        self.handle.drain();
        self.ended().await
    }

    /// Waits until the server has ended.
    pub async fn ended(self) -> Result<(), ServeError> {
        soon(self.task).await.expect("the server does not panic")
    }
}

/// The answer to a refused handshake.
pub type Refusal = Box<http::Response<Option<Vec<u8>>>>;

/// A WebSocket client; every wait fails after [`SOON`].
pub struct Client {
    /// The socket.
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The answer to the handshake.
    pub response: http::Response<Option<Vec<u8>>>,
}

impl Client {
    /// Opens a WebSocket, or returns the refusal.
    pub async fn connect(request: impl IntoClientRequest + Unpin) -> Result<Self, Refusal> {
        match soon(tokio_tungstenite::connect_async(request)).await {
            Ok((socket, response)) => Ok(Self { socket, response }),
            Err(Error::Http(response)) => Err(response),
            Err(error) => panic!("no answer to the handshake: {error}"),
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: impl Into<Message>) {
        soon(self.socket.send(message.into())).await.expect("send");
    }

    /// Returns the next message, including pings and pongs.
    pub async fn next(&mut self) -> Message {
        match soon(self.socket.next()).await {
            Some(Ok(message)) => message,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// Returns the next text message.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// Returns the next binary message.
    pub async fn binary(&mut self) -> Vec<u8> {
        match self.next().await {
            Message::Binary(data) => data.to_vec(),
            other => panic!("expected a binary message, got {other:?}"),
        }
    }

    /// Returns the next text message as JSON.
    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// Sends a text message and returns the text that comes back.
    pub async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.text().await
    }

    /// Sends JSON and returns the JSON that comes back.
    pub async fn ask_json(&mut self, request: serde_json::Value) -> serde_json::Value {
        self.send(request.to_string()).await;
        self.json().await
    }

    /// Closes with a code and a reason and waits for the end.
    pub async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.to_owned().into(),
        };
        soon(self.socket.close(Some(frame))).await.expect("close");
        while let Some(Ok(_)) = soon(self.socket.next()).await {}
    }

    /// Waits for the server's close frame and returns its code and reason: 1005 if the frame has no code, 1006 if there
    /// is no frame. Fails if a message comes first.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => {
                    // Reading on sends the answer.
                    while let Some(Ok(_)) = soon(self.socket.next()).await {}
                    return frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    });
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => panic!("expected the end, got {message:?}"),
                Some(Err(_)) | None => return (1006, String::new()),
            }
        }
    }

    /// Fails if a message arrives within a moment.
    pub async fn silent(&mut self) {
        let moment = Duration::from_millis(50);
        if let Ok(message) = timeout(moment, self.socket.next()).await {
            panic!("expected silence, got {message:?}");
        }
    }
}
