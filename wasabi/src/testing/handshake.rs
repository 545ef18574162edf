//! The handshake of a test's client.

use std::{fmt, net::SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderName, HeaderValue, Request, header, request::Builder};

use super::TestError;
use crate::connection::{Identity, peer::UnixPeer};

/// The handshake of a [`TestClient`](super::TestClient) or a [`TestConnection`](super::TestConnection): where it goes,
/// and what it brings along. A string alone is a path with its query.
///
/// ```
/// use wasabi::{prelude::*, testing::{TestGateway, TestHandshake}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = gateway!(channel("/v1", subprotocols = ["v1"], async |message: Message| message));
/// let gateway = TestGateway::new(gateway)?;
/// let handshake = TestHandshake::to("/v1?lang=en")
///     .header("authorization", "Bearer 4711")
///     .subprotocol("v1");
/// let client = gateway.connect(handshake).await?;
/// assert_eq!(client.handshake().headers()["sec-websocket-protocol"], "v1");
/// # Ok(())
/// # }
/// ```
///
/// Without other settings, the client's address is `192.0.2.1:49152` (a network for documentation, RFC 5737) and the
/// host is `gateway.test`.
#[must_use = "a handshake does nothing until a client makes it"]
pub struct TestHandshake {
    request: Builder,
    peer: Option<SocketAddr>,
}

/// The host that a client asks for if the test does not say otherwise. `.test` is reserved (RFC 6761).
pub(super) const HOST: &str = "gateway.test";

impl TestHandshake {
    /// A handshake to this path, with a query if it has one.
    pub fn to(path: &str) -> Self {
        Self {
            request: Request::get(path),
            peer: Some(SocketAddr::from(([192, 0, 2, 1], 49152))),
        }
    }

    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.request = self.request.header(name, value);
        self
    }

    /// Offers a subprotocol, after those offered before.
    pub fn subprotocol(self, name: &str) -> Self {
        self.header(header::SEC_WEBSOCKET_PROTOCOL, name)
    }

    /// The address that the client connects from; `None` stands for a Unix socket.
    pub fn remote_addr(mut self, addr: impl Into<Option<SocketAddr>>) -> Self {
        self.peer = addr.into();
        self
    }

    /// Gives the client this identity, as HTTP middleware that authenticates does. Middleware of the gateway may replace
    /// it.
    pub fn identity<T: Clone + Send + Sync + 'static>(mut self, identity: Identity<T>) -> Self {
        if let Some(extensions) = self.request.extensions_mut() {
            identity.insert_into(extensions);
        }
        self
    }

    /// Leaves a typed value in the handshake, as HTTP middleware does.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.request = self.request.extension(value);
        self
    }

    /// The request with its host and the client's address.
    pub(super) fn into_request(self) -> Result<Request<()>, TestError> {
        let mut request = self.request.body(()).map_err(TestError::Handshake)?;
        let host = HeaderValue::from_static(HOST);
        request.headers_mut().entry(header::HOST).or_insert(host);
        tell_peer(self.peer, request.extensions_mut());
        Ok(request)
    }
}

fn tell_peer(peer: Option<SocketAddr>, extensions: &mut Extensions) {
    match peer {
        Some(addr) => extensions.insert(ConnectInfo(addr)).map(drop),
        None => extensions.insert(UnixPeer).map(drop),
    };
}

impl From<&str> for TestHandshake {
    fn from(path: &str) -> Self {
        Self::to(path)
    }
}

impl fmt::Debug for TestHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may carry credentials.
        f.debug_struct("TestHandshake")
            .field("uri", &self.request.uri_ref())
            .finish_non_exhaustive()
    }
}
