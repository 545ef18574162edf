//! Checks and answers handshakes, over HTTP/1.1 (RFC 6455, section 4.2) and over an HTTP/2 stream (RFC 8441).

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::metrics::Rejected;

/// Why a handshake is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
    pub(crate) rejected: Rejected,
}

/// The kind of a handshake.
#[derive(Debug)]
pub(crate) enum Asked {
    /// An upgrade of an HTTP/1.1 connection, with this key.
    Upgrade(HeaderValue),
    /// An HTTP/2 stream that becomes a WebSocket.
    #[cfg(feature = "http2")]
    Stream,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, why: &'static str) -> Self {
        Self {
            status,
            why,
            rejected: Rejected::Handshake,
        }
    }

    /// Sets the reason for the metrics, if it is not the handshake.
    pub(crate) fn because(self, rejected: Rejected) -> Self {
        Self { rejected, ..self }
    }

    pub(crate) fn answer(&self) -> Response {
        let mut response = (self.status, self.why).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(
                    header::SEC_WEBSOCKET_VERSION,
                    HeaderValue::from_static("13"),
                );
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Checks the client's handshake.
pub(crate) fn check(parts: &Parts) -> Result<Asked, Refusal> {
    #[cfg(feature = "http2")]
    if parts.version == Version::HTTP_2 {
        return check_stream(parts).map(|()| Asked::Stream);
    }
    check_upgrade(parts).map(Asked::Upgrade)
}

/// An extended CONNECT instead of an upgrade, and no key (RFC 8441, section 5).
#[cfg(feature = "http2")]
fn check_stream(parts: &Parts) -> Result<(), Refusal> {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    if parts.method != Method::CONNECT || protocol.is_none() {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "this is a WebSocket endpoint",
        ));
    }
    if protocol.is_none_or(|protocol| !protocol.as_str().eq_ignore_ascii_case("websocket")) {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "this endpoint only supports WebSocket",
        ));
    }
    if header_of(&parts.headers, header::SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the WebSocket version must be 13",
        ));
    }
    match parts.uri.authority() {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "a request must have exactly one Host",
        )),
    }
}

// Long: the checks of RFC 6455, section 4.2.1, one after the other.
fn check_upgrade(parts: &Parts) -> Result<HeaderValue, Refusal> {
    let headers = &parts.headers;
    if !has_token(headers, header::CONNECTION, "upgrade")
        || !has_token(headers, header::UPGRADE, "websocket")
    {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebSocket endpoint",
        ));
    }
    if parts.method != Method::GET {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket handshake must be a GET request",
        ));
    }
    if parts.version != Version::HTTP_11 {
        return Err(Refusal::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "a WebSocket handshake needs HTTP/1.1",
        ));
    }
    if header_of(headers, header::HOST).is_none() {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "a request must have exactly one Host",
        ));
    }
    // The bytes of a body would be taken for frames.
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
    {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "a WebSocket handshake cannot have a body",
        ));
    }
    if headers
        .get_all(header::SEC_WEBSOCKET_VERSION)
        .iter()
        .count()
        > 1
    {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Version occurs more than once",
        ));
    }
    if header_of(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "the WebSocket version must be 13",
        ));
    }
    match header_of(headers, header::SEC_WEBSOCKET_KEY) {
        Some(key) if is_key(key.as_bytes()) => Ok(key.clone()),
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key must be 16 bytes in base64",
        )),
    }
}

/// The value of a header that occurs exactly once.
fn header_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Whether this is base64 of 16 bytes (RFC 6455, section 4.1).
fn is_key(key: &[u8]) -> bool {
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22
        && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || b"+/".contains(digit)))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

impl Asked {
    /// The answer that accepts the handshake.
    pub(crate) fn accepted(
        &self,
        subprotocol: Option<&str>,
        extensions: Option<HeaderValue>,
    ) -> Response {
        let mut response = Response::new(Body::empty());
        match self {
            Self::Upgrade(key) => {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let headers = response.headers_mut();
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
                    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
                }
            }
            #[cfg(feature = "http2")]
            Self::Stream => {}
        }
        if let Some(Ok(subprotocol)) = subprotocol.map(HeaderValue::from_str) {
            response
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        if let Some(extensions) = extensions {
            response
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        response
    }
}

/// Rewrites an HTTP/2 handshake as its HTTP/1.1 form, so that hooks and backends need not know the difference: the host
/// becomes a header, and the URI has only path and query.
#[cfg(feature = "http2")]
pub(crate) fn as_upgrade(parts: &mut Parts) {
    let uri = std::mem::take(&mut parts.uri).into_parts();
    if let Some(Ok(host)) = uri
        .authority
        .map(|host| HeaderValue::try_from(host.as_str()))
    {
        parts.headers.insert(header::HOST, host);
    }
    if let Some(path) = uri.path_and_query {
        parts.uri = path.into();
    }
}
