//! A gateway without sockets.

use std::fmt;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};

use super::{TestClient, TestError, TestHandshake, handshake::HOST};
use crate::{
    Gateway, ServeError,
    backend::ReplacedUpstreams,
    gateway::in_memory::routed,
    piped::{self, Answered},
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
        let (router, runtime) = (self.router.clone(), self.runtime.clone());
        let upstreams = self.upstreams.clone();
        let asked = (request.uri().clone(), request.headers().clone());
        let answered = piped::connect(request, None, move |mut request| {
            request.extensions_mut().extend(told.clone());
            request.extensions_mut().insert(runtime.clone());
            request.extensions_mut().insert(upstreams.clone());
            routed(router.clone(), request)
        });
        match answered.await.map_err(TestError::protocol)? {
            Answered::Accepted(stream, response) => Ok(TestClient::new(*stream, response, &asked)),
            Answered::Refused(response) => {
                let refused = read(response.map(Body::new)).await?;
                Err(TestError::Refused(Box::new(refused)))
            }
        }
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

async fn read(response: Response<Body>) -> Result<Response<Bytes>, TestError> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await;
    Ok(Response::from_parts(
        parts,
        body.map_err(TestError::protocol)?,
    ))
}
