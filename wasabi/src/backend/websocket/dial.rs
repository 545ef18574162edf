//! Making an upstream connection: the stream, then the opening handshake (RFC 6455, section 4.1).

use std::{
    fmt, io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_tungstenite::tungstenite::handshake::{
    client::{Response as HandshakeResponse, generate_key},
    derive_accept_key,
    machine::TryParse,
};

use wasabi_rules::schemes;

use super::Config;
use crate::{
    Connection, Error, backend::retry_after::retry_after, connection::socket::Socket,
    log::without_secrets, tcp,
};

/// Where an upstream is.
#[derive(Clone, Default)]
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
}

/// Why there is no upstream connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("not accepted within {0:?}")]
    TimedOut(Duration),
    #[error("the handshake was answered {status}")]
    Refused {
        status: StatusCode,
        retry_after: Option<Duration>,
        /// `WWW-Authenticate`, of a 401.
        challenges: Vec<HeaderValue>,
    },
    #[error("the answer to the handshake is invalid: {0}")]
    Invalid(&'static str),
    #[error("the upstream does not take the client's subprotocol")]
    Subprotocol,
    #[error("the handshake failed: {0}")]
    Broken(#[from] io::Error),
    #[error("the handshake cannot be built: {0}")]
    Request(#[from] http::Error),
    #[error("the dialler panicked")]
    Panicked,
    #[error("a header cannot be made: {0}")]
    Header(#[source] Error),
    #[error("a function that makes a header panicked")]
    HeaderPanicked,
}

impl From<&Arc<DialError>> for Error {
    fn from(error: &Arc<DialError>) -> Self {
        match **error {
            DialError::Refused {
                status,
                retry_after,
                ..
            } => Self::UpstreamStatus {
                status,
                retry_after,
                seen: false,
            },
            // What the client has asked for.
            DialError::Subprotocol => Self::UpstreamUnfit(Arc::clone(error).into()),
            DialError::Request(_) | DialError::HeaderPanicked => {
                Self::Internal(Arc::clone(error).into())
            }
            DialError::Header(Self::BadRequest(ref why)) => Self::BadRequest(why.clone()),
            DialError::Header(_) => Self::Internal(Arc::clone(error).into()),
            _ => Self::UpstreamUnreachable(Arc::clone(error).into()),
        }
    }
}

impl DialError {
    /// How the handshake of a client is refused that cannot have an upstream.
    pub(super) fn refusal(self: &Arc<Self>) -> Response {
        let why = Error::from(self).client_message().into_owned();
        let status = match **self {
            Self::Refused { status, .. }
                if status.is_client_error() || status.is_server_error() =>
            {
                status
            }
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Header(_) => StatusCode::BAD_REQUEST,
            Self::HeaderPanicked | Self::Request(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut response = (status, why).into_response();
        if let Self::Refused {
            retry_after,
            challenges,
            ..
        } = &**self
        {
            let headers = response.headers_mut();
            if let Some(pause) = retry_after {
                // Whoever comes back a moment too early comes twice.
                let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            for challenge in challenges {
                headers.append(header::WWW_AUTHENTICATE, challenge.clone());
            }
        }
        response
    }
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let parsed = wasabi_rules::url(url, schemes::WEBSOCKET)?;
        let is_tls = parsed.scheme == "wss";
        let uri = url
            .parse()
            .map_err(|error| format!("the URL of `WebSocket` is invalid: {error}"))?;
        Ok(Self {
            host: parsed.host.to_owned(),
            port: parsed.port.unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            uri,
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.uri.to_string()))
    }
}

impl Config {
    /// Connects for a client.
    pub(super) async fn dial(&self, connection: &Connection) -> Result<Socket<Io>, Arc<DialError>> {
        // What is wrong with this client's handshake is nothing about the upstream.
        let request = catch_unwind(AssertUnwindSafe(|| self.handshake(connection)))
            .unwrap_or(Err(DialError::HeaderPanicked))?;
        self.backoff.admit()?;
        let began = Instant::now();
        let mut is_connected = false;
        // A dialler and its streams are the user's.
        let connecting = self.connect_for(connection, &request, &mut is_connected);
        let dialing = AssertUnwindSafe(connecting);
        let dialed = tokio::time::timeout(self.connect_timeout, dialing.catch_unwind()).await;
        let error = match dialed {
            Ok(Ok(Ok(socket))) => {
                self.backoff.reached();
                return Ok(socket);
            }
            Ok(Ok(Err(error))) => error,
            Ok(Err(_panic)) => DialError::Panicked,
            Err(_) => DialError::TimedOut(self.connect_timeout),
        };
        let error = Arc::new(error);
        if is_connected {
            // What comes then may be about this client.
            self.backoff.reached();
        } else if !matches!(self.dialer, Dialer::Custom(_)) {
            self.backoff.failed(began, Arc::clone(&error));
        }
        Err(error)
    }

    /// Whether `wss` will work where it is wanted.
    pub(super) fn check_tls(&self) -> Result<(), String> {
        if !self.target.is_tls || matches!(self.dialer, Dialer::Custom(_)) {
            return Ok(());
        }
        #[cfg(feature = "tls")]
        return match &self.tls {
            Some(_) => Ok(()),
            None => super::tls::default_config().map(drop),
        };
        #[cfg(not(feature = "tls"))]
        Err(format!(
            "`{}` needs the cargo feature `tls` of wasabi",
            without_secrets(&self.target.uri.to_string())
        ))
    }

    async fn connect_for(
        &self,
        connection: &Connection,
        request: &Request<()>,
        is_connected: &mut bool,
    ) -> Result<Socket<Io>, DialError> {
        let mut io = self.stream(request).await.map_err(DialError::Connect)?;
        *is_connected = true;
        let read_already = upgrade(&mut io, request).await?;
        Ok(Socket::client(io, read_already, self.limits(connection)))
    }

    async fn stream(&self, request: &Request<()>) -> io::Result<Io> {
        match &self.dialer {
            Dialer::Custom(dial) => dial(request.clone()).await,
            Dialer::Tcp => {
                let stream = tcp::connect(&self.target.host, self.target.port).await?;
                self.encrypted(stream).await
            }
            Dialer::Resolved(resolve) => {
                let addrs = resolve(self.target.host.clone(), self.target.port).await?;
                self.encrypted(tcp::connect_to(addrs).await?).await
            }
        }
    }

    async fn encrypted(&self, stream: TcpStream) -> io::Result<Io> {
        match self.target.is_tls {
            true => self.encrypt(stream).await,
            false => Ok(Io::Tcp(stream)),
        }
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&self, stream: TcpStream) -> io::Result<Io> {
        let stream = super::tls::connect(self.tls.as_ref(), &self.target.host, stream).await?;
        Ok(Io::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypt(&self, _stream: TcpStream) -> io::Result<Io> {
        Err(io::ErrorKind::Unsupported.into()) // `check_tls` has said so
    }

    fn handshake(&self, connection: &Connection) -> Result<Request<()>, DialError> {
        let mut request = self.request(connection.uri().query())?;
        let headers = request.headers_mut();
        self.forward
            .headers
            .add(connection, headers)
            .map_err(DialError::Header)?;
        if self.forward.subprotocol
            && let Some(subprotocol) = connection.subprotocol()
        {
            let subprotocol = HeaderValue::from_str(subprotocol).map_err(http::Error::from)?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        Ok(request)
    }

    /// The handshake, with what passes of a client's query, and without the headers that are set.
    fn request(&self, query: Option<&str>) -> Result<Request<()>, DialError> {
        let path_and_query = self.forward.path_and_query(&self.target.uri, query);
        let mut uri = self.target.uri.clone().into_parts();
        uri.path_and_query = Some(path_and_query.try_into().map_err(http::Error::from)?);
        let uri = Uri::from_parts(uri).map_err(http::Error::from)?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::builder()
            .method(Method::GET)
            .header(header::HOST, host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .uri(uri)
            .body(())?;
        Ok(request)
    }

    /// Connects for nobody: the stream after the handshake, and what came after it already.
    pub(super) async fn dial_to_ask(&self) -> Result<(Io, Vec<u8>), DialError> {
        let mut request = self.request(None)?;
        self.forward.headers.add_fixed(request.headers_mut());
        let mut io = self.stream(&request).await.map_err(DialError::Connect)?;
        let read_already = upgrade(&mut io, &request).await?;
        Ok((io, read_already))
    }
}

/// Does the handshake over a stream; returns what came after it.
async fn upgrade(io: &mut Io, request: &Request<()>) -> Result<Vec<u8>, DialError> {
    io.write_all(&head_of(request)).await?;
    io.flush().await?;
    let mut answer = Vec::with_capacity(1024);
    let mut interim = 0;
    loop {
        let parsed = HandshakeResponse::try_parse(&answer)
            .map_err(|_| DialError::Invalid("it is no HTTP/1.1"))?;
        match parsed {
            Some((length, response)) if is_interim(response.status()) => {
                interim += 1;
                if interim > MAX_INTERIM {
                    return Err(DialError::Invalid("interim answers have no end"));
                }
                answer.drain(..length);
                continue;
            }
            Some((length, response)) => {
                check(&response, request.headers())?;
                return Ok(answer.split_off(length));
            }
            None if answer.len() > MAX_ANSWER => {
                return Err(DialError::Invalid("it is too long"));
            }
            None => {}
        }
        if io.read_buf(&mut answer).await? == 0 {
            return Err(DialError::Invalid("it ends too early"));
        }
    }
}

/// An answer that says that another one follows, such as 100 and 103 (RFC 9110, section 15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The most interim answers before the one that counts.
const MAX_INTERIM: usize = 16;

/// The most bytes that the head of the answer may have.
const MAX_ANSWER: usize = 64 * 1024;

fn head_of(request: &Request<()>) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"GET ");
    let target = request.uri().path_and_query();
    head.extend_from_slice(target.map_or("/", |target| target.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        // Names have no case, but there are servers that expect the usual one.
        let name = name.as_str();
        let rest = match name.strip_prefix("sec-websocket-") {
            Some(rest) => {
                head.extend_from_slice(b"Sec-WebSocket-");
                rest
            }
            None => name,
        };
        let mut is_start = true;
        for byte in rest.bytes() {
            head.push(if is_start {
                byte.to_ascii_uppercase()
            } else {
                byte
            });
            is_start = byte == b'-';
        }
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn check<B>(response: &http::Response<B>, request: &HeaderMap) -> Result<(), DialError> {
    if response.status().is_success() {
        return Err(DialError::Invalid("it speaks HTTP only"));
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = challenges.iter();
        return Err(DialError::Refused {
            status: response.status(),
            retry_after: retry_after(response.headers()),
            challenges: challenges.cloned().collect(),
        });
    }
    let headers = response.headers();
    let is = |name, token: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(token))
    };
    let expected = request
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()));
    if !is(header::UPGRADE, "websocket") {
        return Err(DialError::Invalid("it upgrades to something else"));
    }
    if !has_upgrade(headers) {
        return Err(DialError::Invalid("it does not upgrade the connection"));
    }
    if header_bytes(headers, header::SEC_WEBSOCKET_ACCEPT) != expected.as_deref().map(str::as_bytes)
    {
        return Err(DialError::Invalid("it does not belong to the request"));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(DialError::Invalid("it uses an extension"));
    }
    if headers.get(header::SEC_WEBSOCKET_PROTOCOL) != request.get(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(DialError::Subprotocol);
    }
    Ok(())
}

fn has_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

fn header_bytes(headers: &HeaderMap, name: header::HeaderName) -> Option<&[u8]> {
    Some(headers.get(name)?.as_bytes().trim_ascii())
}

type Dial = dyn Fn(Request<()>) -> BoxFuture<'static, io::Result<Io>> + Send + Sync;

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// How the stream to an upstream is made.
#[derive(Clone, Default)]
pub(super) enum Dialer {
    #[default]
    Tcp,
    /// The same, to addresses that a function knows.
    Resolved(Arc<Resolve>),
    Custom(Arc<Dial>),
}

impl Dialer {
    pub(super) fn custom<F, Fut, T>(dial: F) -> Self
    where
        F: Fn(Request<()>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::Custom(Arc::new(move |request| {
            let dialing = dial(request);
            Box::pin(async move { Ok(Io::Custom(Box::new(dialing.await?))) })
        }))
    }

    pub(super) fn resolved<F, Fut>(resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self::Resolved(Arc::new(move |host, port| Box::pin(resolve(host, port))))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "Tcp",
            Self::Resolved(_) => "Resolved",
            Self::Custom(_) => "Custom",
        })
    }
}

/// A stream to an upstream.
pub(super) enum Io {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    Custom(Box<dyn Stream>),
}

/// What a dialler of the user's may return.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Calls a method of whichever stream it is.
macro_rules! each {
    ($self:expr, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Io::Tcp($io) => $call,
            #[cfg(feature = "tls")]
            Io::Tls($io) => $call,
            Io::Custom($io) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_written_as_servers_expect_them() {
        let request = Request::get("ws://up/a?b")
            .header("sec-websocket-key", "k")
            .header("x-client-ip", HeaderValue::from_bytes(b"\xe4").unwrap())
            .body(())
            .unwrap();
        let expected = b"GET /a?b HTTP/1.1\r\nSec-WebSocket-Key: k\r\nX-Client-Ip: \xe4\r\n\r\n";
        assert_eq!(head_of(&request), expected);
    }

    #[test]
    fn a_url_names_host_and_port() {
        let target = Target::parse("wss://[::1]/x?y").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 443));
        let target = Target::parse("ws://up:9000").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("up", 9000));
    }

    #[test]
    fn a_url_that_is_no_websocket_url_is_refused() {
        for url in [
            "http://up/",
            "up:9000",
            "/x",
            "ws://",
            "ws://user:pw@up/",
            "",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
