//! The parts of the handshake that are kept for the life of the connection.

use std::{fmt::Write, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderValue, Uri};

pub(crate) struct Handshake {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
    pub(crate) subprotocol: Option<String>,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether the client uses TLS, to the gateway or to a trusted proxy.
    pub(crate) secure: Option<bool>,
}

impl Handshake {
    /// The size of a URI and headers in bytes.
    pub(crate) fn size(uri: &Uri, headers: &HeaderMap) -> usize {
        let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
        let headers = headers.iter();
        path + headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
    }

    /// Copies the parts that point into the buffer of the handshake, so that these 8 KiB can be freed.
    pub(crate) fn detach(&mut self) {
        let mut copy = BytesMut::with_capacity(
            self.headers.values().map(HeaderValue::len).sum::<usize>() + 64,
        );
        for value in self.headers.values() {
            copy.extend_from_slice(value.as_bytes());
        }
        let values = copy.len();
        let is_whole = write!(copy, "{}", self.uri).is_ok();
        let copy = copy.freeze();
        let mut start = 0;
        for value in self.headers.values_mut() {
            let end = start + value.len();
            replace(value, copy.slice(start..end));
            start = end;
        }
        if is_whole && let Ok(uri) = Uri::from_maybe_shared(copy.slice(values..)) {
            self.uri = uri;
        }
        if self.extensions.is_empty() {
            self.extensions = Extensions::new();
        }
    }
}

fn replace(value: &mut HeaderValue, copy: Bytes) {
    if let Ok(mut own) = HeaderValue::from_maybe_shared(copy) {
        own.set_sensitive(value.is_sensitive());
        *value = own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_handshake_does_not_pin_its_read_buffer() {
        let buffer = Bytes::from(vec![b'/'; 8192]);
        let mut secret = HeaderValue::from_maybe_shared(buffer.slice(10..13)).expect("a value");
        secret.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.append("cookie", secret);
        headers.append("cookie", HeaderValue::from_static("a=b"));
        headers.append("host", HeaderValue::from_static(""));
        let mut handshake = Handshake {
            uri: Uri::from_maybe_shared(buffer.slice(..4)).expect("a URI"),
            headers,
            extensions: Extensions::new(),
            subprotocol: None,
            remote_addr: None,
            secure: None,
        };
        assert!(!buffer.is_unique());

        handshake.detach();

        assert!(buffer.is_unique());
        assert_eq!(handshake.uri, "////");
        let cookies: Vec<_> = handshake.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["///", "a=b"]);
        assert!(cookies[0].is_sensitive() && !cookies[1].is_sensitive());
        assert_eq!(handshake.headers["host"], "");
    }
}
