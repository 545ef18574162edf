//! A gateway without sockets.

use std::fmt;

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{client, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::client::generate_key, protocol::Role},
};
use tower::ServiceExt;

use super::{TestClient, TestError, TestHandshake, handshake::HOST};
use crate::{
    Gateway, ServeError,
    backend::{PIPE, ReplacedUpstreams, serve},
    gateway::path,
    panics::caught_future,
    runtime::{Runtime, restart},
};

/// A gateway without sockets: see the [module](super).
///
/// Clients connect through pipes in memory, each with 64 KiB of room in each direction. Everything behind the socket is
/// as in production; a [`Server`](crate::Server) and its limits are not involved.
pub struct TestGateway {
    router: Router,
    runtime: Runtime,
    upstreams: ReplacedUpstreams,
}

/// The largest body of an HTTP response that a test reads, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

impl TestGateway {
    /// Serves this gateway.
    ///
    /// # Errors
    ///
    /// Returns the mistakes that [`Gateway::check`] finds, as [`ServeError::Mistakes`].
    pub fn new(gateway: Gateway) -> Result<Self, ServeError> {
        gateway.check().map_err(ServeError::Mistakes)?;
        Ok(Self {
            router: gateway.routed(),
            runtime: Runtime::default(),
            upstreams: ReplacedUpstreams::default(),
        })
    }

    /// Puts a router in place of an upstream: of the HTTP service at an origin such as `http://orders:8080`, for
    /// [`Http`](crate::Http) backends, or of the server at `ws://quotes:9000`, for [`WebSocket`](crate::WebSocket)
    /// backends. That server may be another gateway, by [`Gateway::into_router`]. Applies to the clients that connect
    /// from now on. Active health checks still use the network.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use wasabi::{prelude::*, testing::TestGateway};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = gateway!(channel("/", Http::post("http://orders:8080/place")));
    /// let orders = Router::new().route("/place", post(async |order: String| format!("placed {order}")));
    /// let gateway = TestGateway::new(gateway)?.upstream("http://orders:8080", orders);
    /// let mut client = gateway.connect("/").await?;
    /// client.send("tea").await?;
    /// assert_eq!(client.text().await?, "placed tea");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn upstream(mut self, origin: &str, router: Router) -> Self {
        self.upstreams.replace(origin, router);
        self
    }

    /// Connects a client.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Refused`] with the gateway's response if it refuses the handshake.
    pub async fn connect(
        &self,
        handshake: impl Into<TestHandshake>,
    ) -> Result<TestClient, TestError> {
        let mut request = handshake.into().into_request()?;
        let told = std::mem::take(request.extensions_mut());
        let headers = request.headers_mut();
        for (name, value) in [
            (header::CONNECTION, "upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let key = HeaderValue::try_from(generate_key()).map_err(TestError::protocol)?;
        headers.entry(header::SEC_WEBSOCKET_KEY).or_insert(key);
        let asked = (request.uri().clone(), request.headers().clone());
        let (near, far) = duplex(PIPE);
        let (router, runtime) = (self.router.clone(), self.runtime.clone());
        let upstreams = self.upstreams.clone();
        tokio::spawn(serve(far, move |mut request| {
            request.extensions_mut().extend(told.clone());
            request.extensions_mut().insert(runtime.clone());
            request.extensions_mut().insert(upstreams.clone());
            routed(router.clone(), request)
        }));
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(near))
            .await
            .map_err(TestError::protocol)?;
        tokio::spawn(connection.with_upgrades());
        let request = request.map(|()| Body::empty());
        let mut response = sender
            .send_request(request)
            .await
            .map_err(TestError::protocol)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let refused = read(response.map(Body::new)).await?;
            return Err(TestError::Refused(Box::new(refused)));
        }
        let upgraded = hyper::upgrade::on(&mut response).await;
        let stream = web_socket(upgraded.map_err(TestError::protocol)?).await?;
        Ok(TestClient::new(stream, response.map(drop), &asked))
    }

    /// Sends an HTTP request to the gateway's endpoints and mounts, and reads the whole response.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Protocol`] if the body fails or has more than 16 MiB.
    pub async fn http<B>(&self, request: Request<B>) -> Result<Response<Bytes>, TestError>
    where
        B: Into<Body>,
    {
        let mut request = request.map(Into::into);
        request.extensions_mut().insert(self.runtime.clone());
        let host = HeaderValue::from_static(HOST);
        request.headers_mut().entry(header::HOST).or_insert(host);
        read(routed(self.router.clone(), request).await).await
    }

    /// Drains as a server does that is told to stop: new handshakes are refused, and every connection finishes its
    /// requests in flight and is closed with 1012. Waits for their end; clients must go on reading meanwhile, since a
    /// drain without limit waits for them.
    pub async fn drain(&self) {
        self.runtime.start_draining();
        for connection in self.runtime.live().connections() {
            connection.close(restart());
        }
        let tasks = self.runtime.tasks();
        tasks.close();
        tasks.wait().await;
    }
}

impl fmt::Debug for TestGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestGateway")
            .field("upstreams", &self.upstreams)
            .finish_non_exhaustive()
    }
}

/// The router's answer, by the normal form of the path.
async fn routed(router: Router, mut request: Request<Body>) -> Response<Body> {
    if let Err(why) = path::normalise(request.uri_mut()) {
        return path::refusal(why);
    }
    match caught_future(router.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_panic) => (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response(),
    }
}

async fn read(response: Response<Body>) -> Result<Response<Bytes>, TestError> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await;
    Ok(Response::from_parts(
        parts,
        body.map_err(TestError::protocol)?,
    ))
}

async fn web_socket(upgraded: Upgraded) -> Result<WebSocketStream<DuplexStream>, TestError> {
    match upgraded.downcast::<TokioIo<DuplexStream>>() {
        Ok(parts) => {
            let (io, ahead) = (parts.io.into_inner(), parts.read_buf.to_vec());
            Ok(WebSocketStream::from_partially_read(io, ahead, Role::Client, None).await)
        }
        Err(_) => Err(TestError::Protocol("the pipe is lost".to_owned())),
    }
}
