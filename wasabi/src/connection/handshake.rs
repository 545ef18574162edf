//! The parts of the handshake that are kept for the life of the connection.

use std::{io::Write, net::SocketAddr, sync::OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};

pub(crate) struct Handshake {
    head: Head,
    pub(crate) extensions: Extensions,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether the client uses TLS, to the gateway or to a trusted proxy.
    pub(crate) secure: Option<bool>,
}

impl Handshake {
    /// Keeps what functions and backends can ask for.
    pub(crate) fn of(mut parts: Parts) -> Self {
        let peer = parts.extensions.remove::<ConnectInfo<SocketAddr>>();
        let head = Head::of(&parts.uri, &parts.headers);
        Self {
            head,
            extensions: extensions(parts),
            subprotocol: None,
            remote_addr: peer.map(|ConnectInfo(addr)| addr),
            secure: None,
        }
    }

    /// The size of a URI and headers in bytes.
    pub(crate) fn size(uri: &Uri, headers: &HeaderMap) -> usize {
        let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
        let headers = headers.iter();
        path + headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.head.unpacked().0
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.unpacked().1
    }
}

/// The extensions without that of axum's router, unless it contains parameters of the path.
fn extensions(mut parts: Parts) -> Extensions {
    if parts.extensions.len() == 1 {
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
        if let Some(Ok(parameters)) = parameters
            && parameters.iter().next().is_none()
        {
            return Extensions::new();
        }
    }
    match parts.extensions.is_empty() {
        // Its table.
        true => Extensions::new(),
        false => parts.extensions,
    }
}

/// URI and headers. Few connections need them after the handshake, so they are kept as text until the first use. The text
/// is a copy: the buffer that the handshake was read into can be freed.
struct Head {
    /// The URI, then the headers, each in a line: name, [`PLAIN`] or [`SENSITIVE`], value.
    packed: Box<[u8]>,
    unpacked: OnceLock<Box<(Uri, HeaderMap)>>,
}

// Neither can be in the name of a header (RFC 9110, section 5.6.2), and no value and no URI contains the end of a line.
const PLAIN: u8 = b':';
const SENSITIVE: u8 = b';';

impl Head {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let more = 64 + 2 * headers.len();
        let mut packed = Vec::with_capacity(Handshake::size(uri, headers) + more);
        // Writing to a vector cannot fail.
        let _ = match uri.scheme().is_none() && uri.authority().is_none() || is_readable(uri) {
            true => writeln!(packed, "{uri}"),
            false => writeln!(
                packed,
                "{}",
                uri.path_and_query().map_or("/", |path| path.as_str())
            ),
        };
        for (name, value) in headers {
            if is_of_the_upgrade(name) {
                continue;
            }
            packed.extend_from_slice(name.as_str().as_bytes());
            packed.push(match value.is_sensitive() {
                true => SENSITIVE,
                false => PLAIN,
            });
            packed.extend_from_slice(value.as_bytes());
            packed.push(b'\n');
        }
        Self {
            packed: packed.into_boxed_slice(),
            unpacked: OnceLock::new(),
        }
    }

    fn unpacked(&self) -> &(Uri, HeaderMap) {
        self.unpacked.get_or_init(|| {
            let mut rest = Bytes::copy_from_slice(&self.packed);
            let uri = Uri::from_maybe_shared(until(&mut rest, |byte| byte == b'\n').0);
            let mut headers = HeaderMap::new();
            while !rest.is_empty() {
                let (name, end) = until(&mut rest, |byte| matches!(byte, PLAIN | SENSITIVE));
                let (value, _) = until(&mut rest, |byte| byte == b'\n');
                let name = HeaderName::from_bytes(&name);
                if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_maybe_shared(value)) {
                    value.set_sensitive(end == Some(SENSITIVE));
                    headers.append(name, value);
                }
            }
            Box::new((uri.unwrap_or_default(), headers))
        })
    }
}

/// Headers that say nothing about the client: they have been answered, and differ between its connections.
fn is_of_the_upgrade(name: &HeaderName) -> bool {
    [
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
    ]
    .contains(name)
}

/// Whether the text of a URI is the same URI again.
fn is_readable(uri: &Uri) -> bool {
    uri.to_string().parse().is_ok_and(|read: Uri| read == *uri)
}

/// Splits off what is before the first such byte, and returns it and the byte.
fn until(rest: &mut Bytes, end: impl Fn(u8) -> bool) -> (Bytes, Option<u8>) {
    let at = rest
        .iter()
        .position(|byte| end(*byte))
        .unwrap_or(rest.len());
    let first = rest.split_to(at);
    let end = rest.first().copied();
    if end.is_some() {
        let _ = rest.split_to(1);
    }
    (first, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: Uri) -> Parts {
        let request = http::Request::builder().uri(uri);
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_kept_handshake_does_not_pin_its_read_buffer() {
        let buffer = Bytes::from(vec![b'/'; 8192]);
        let mut secret = HeaderValue::from_maybe_shared(buffer.slice(10..13)).expect("a value");
        secret.set_sensitive(true);
        let mut parts = parts(Uri::from_maybe_shared(buffer.slice(..4)).expect("a URI"));
        parts.headers.append("cookie", secret);
        assert!(!buffer.is_unique());

        let handshake = Handshake::of(parts);

        assert!(buffer.is_unique());
        assert_eq!(handshake.uri(), "////");
        assert_eq!(handshake.headers()["cookie"], "///");
    }

    #[test]
    fn headers_are_what_they_were() {
        let mut headers = HeaderMap::new();
        let mut secret = HeaderValue::from_static("a=b: c; d");
        secret.set_sensitive(true);
        headers.append("cookie", secret);
        headers.append("x-own", HeaderValue::from_static("1"));
        headers.append("cookie", HeaderValue::from_static("c=d"));
        headers.append("host", HeaderValue::from_static(""));
        headers.append(
            "x-name",
            HeaderValue::from_bytes(b"M\xfcller").expect("a value"),
        );
        let mut parts = parts(Uri::from_static("/"));
        parts.headers = headers.clone();

        let handshake = Handshake::of(parts);

        assert_eq!(*handshake.headers(), headers);
        let cookies: Vec<_> = handshake.headers().get_all("cookie").iter().collect();
        assert!(cookies[0].is_sensitive() && !cookies[1].is_sensitive());
    }

    #[test]
    fn headers_of_the_upgrade_are_not_kept() {
        let mut parts = parts(Uri::from_static("/"));
        for name in [
            "connection",
            "upgrade",
            "sec-websocket-key",
            "sec-websocket-version",
            "sec-websocket-extensions",
            "sec-websocket-protocol",
            "host",
        ] {
            let value = HeaderValue::from_static("x");
            parts.headers.append(HeaderName::from_static(name), value);
        }
        let handshake = Handshake::of(parts);
        let kept: Vec<_> = handshake.headers().keys().collect();
        assert_eq!(kept, ["sec-websocket-protocol", "host"]);
    }

    #[test]
    fn a_uri_is_what_it_was() {
        for uri in [
            "/",
            "/a/%20b?c=d%0A&e",
            "*",
            "https://example.com:8443/a?b",
            "//a//b",
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(*Handshake::of(parts(uri.clone())).uri(), uri);
        }
    }

    #[tokio::test]
    async fn values_of_users_and_parameters_stay_and_what_is_empty_goes() {
        // What axum's router leaves of a request.
        let routed = async |route: &str, value: Option<u8>| {
            let found = async |request: axum::extract::Request| {
                let (parts, _) = request.into_parts();
                axum::Extension(Handshake::of(parts).extensions)
            };
            let router = axum::Router::new().route(route, axum::routing::any(found));
            let mut request = http::Request::new(axum::body::Body::empty());
            *request.uri_mut() = Uri::from_static("/7");
            request.extensions_mut().extend(
                value
                    .map(|value| {
                        let mut extensions = Extensions::new();
                        extensions.insert(value);
                        extensions
                    })
                    .unwrap_or_default(),
            );
            let Ok(mut response) = tower::ServiceExt::oneshot(router, request).await;
            response
                .extensions_mut()
                .remove::<Extensions>()
                .expect("a response")
        };
        assert!(routed("/7", None).await.is_empty());
        assert_eq!(routed("/{id}", None).await.len(), 1);
        assert_eq!(routed("/7", Some(3)).await.get(), Some(&3_u8));
    }

    #[test]
    fn the_only_value_of_a_user_stays_without_a_router() {
        let mut parts = parts(Uri::from_static("/"));
        parts.extensions.insert(7_u8);
        assert_eq!(Handshake::of(parts).extensions.get(), Some(&7_u8));
    }
}
