//! An HTTP/2 client whose streams are requests and WebSockets (RFC 8441).

use axum::body::Body;
use http::{Method, Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
    ext::Protocol,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

use crate::{TestServer, soon};

/// A WebSocket on a stream.
pub type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// One socket that speaks HTTP/2.
pub struct Http2 {
    /// Sends requests, each on its own stream.
    pub requests: SendRequest<Body>,
    authority: String,
}

impl Http2 {
    /// Connects to a gateway.
    pub async fn connect(server: &TestServer) -> Self {
        let io = server.tcp().await;
        Self::over(io, &server.addr.to_string()).await
    }

    /// Speaks HTTP/2 over a stream.
    pub async fn over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        authority: &str,
    ) -> Self {
        // A small window, so that what is not read stays with the server.
        let client = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .handshake(TokioIo::new(io));
        let (requests, connection) = soon(client).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut this = Self {
            requests,
            authority: authority.to_owned(),
        };
        // The server's settings have arrived with the answer, whatever it is.
        this.get("/livez").await;
        this
    }

    /// Builds a request without a body.
    pub fn request(&self, method: Method, path: &str) -> Request<Body> {
        let uri = format!("http://{}{path}", self.authority);
        let request = Request::builder().method(method).uri(uri);
        request.body(Body::empty()).expect("HTTP/2")
    }

    /// Sends a GET request for a path.
    pub async fn get(&mut self, path: &str) -> Response<Incoming> {
        let request = self.request(Method::GET, path);
        soon(self.requests.send_request(request))
            .await
            .expect("HTTP/2")
    }

    /// Requests a WebSocket.
    pub async fn ask(
        &mut self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Response<Incoming> {
        let mut request = self.request(Method::CONNECT, path);
        let websocket = Protocol::from_static("websocket");
        request.extensions_mut().insert(websocket);
        let own = request.headers_mut();
        own.insert("sec-websocket-version", "13".parse().expect("HTTP/2"));
        for (name, value) in headers {
            own.insert(*name, value.parse().expect("HTTP/2"));
        }
        soon(self.requests.send_request(request))
            .await
            .expect("HTTP/2")
    }

    /// Opens a WebSocket.
    pub async fn open(&mut self, path: &str) -> Stream {
        let response = self.ask(path, &[]).await;
        assert_eq!(response.status(), 200);
        upgraded(response).await
    }
}

/// The WebSocket of an accepted handshake.
pub async fn upgraded(response: Response<Incoming>) -> Stream {
    let upgraded = soon(hyper::upgrade::on(response)).await.expect("HTTP/2");
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}
