//! The headers that the gateway adds to requests to an upstream: its own, those it forwards from the client's
//! handshake, and those that describe the client.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use crate::{Connection, Error, Result};

/// The headers that requests to an upstream carry.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// Each name occurs once.
    own: Vec<(HeaderName, Own)>,
    /// Names of headers forwarded from the client's handshake.
    forwarded: Vec<HeaderName>,
}

/// Where the value of one of the gateway's own headers comes from.
#[derive(Clone)]
enum Own {
    Fixed(HeaderValue),
    Made(Arc<Make>),
}

/// `None` leaves the header out.
type Make = dyn Fn(&Connection) -> Result<Option<HeaderValue>> + Send + Sync;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Headers {
    /// Sets the same value for every request.
    pub(super) fn fix(&mut self, name: HeaderName, value: HeaderValue) {
        self.set(name, Own::Fixed(value));
    }

    /// Sets a value that a function makes from the connection.
    pub(super) fn make<V: AsRef<[u8]>>(
        &mut self,
        name: HeaderName,
        make: impl Fn(&Connection) -> Option<V> + Send + Sync + 'static,
    ) {
        self.set_made(name, move |connection| {
            let Some(value) = make(connection) else {
                return Ok(None);
            };
            let value = HeaderValue::from_bytes(value.as_ref());
            value.map(Some).map_err(|_| CANNOT_STAND)
        });
    }

    /// Sets `X-Forwarded-For`, and `X-Forwarded-Proto` if the scheme is known.
    pub(super) fn tell_forwarded_for(&mut self) {
        self.set_made(X_FORWARDED_FOR, |connection| {
            let mut hops = String::new();
            for hop in connection.hops() {
                let separator = if hops.is_empty() { "" } else { ", " };
                hops += &format!("{separator}{hop}");
            }
            value(hops)
        });
        self.set_made(X_FORWARDED_PROTO, |connection| {
            Ok(connection.scheme().map(HeaderValue::from_static))
        });
    }

    /// Sets `Forwarded` (RFC 7239): an element for each hop, and the scheme if it is known.
    pub(super) fn tell_forwarded(&mut self) {
        self.set_made(FORWARDED, |connection| {
            let mut elements = String::new();
            for hop in connection.hops() {
                let separator = if elements.is_empty() { "" } else { ", " };
                elements += &match hop {
                    std::net::IpAddr::V4(ip) => format!("{separator}for={ip}"),
                    std::net::IpAddr::V6(ip) => format!("{separator}for=\"[{ip}]\""),
                };
            }
            if connection.remote_addr().is_none() {
                let separator = if elements.is_empty() { "" } else { ", " };
                elements += &format!("{separator}for=unknown");
            }
            if let Some(scheme) = connection.scheme() {
                elements += &format!(";proto={scheme}");
            }
            value(elements)
        });
    }

    /// Forwards this header of the client's handshake, unless the gateway sets it itself.
    pub(super) fn forward(&mut self, name: HeaderName) {
        if !self.forwarded.contains(&name) {
            self.forwarded.push(name);
        }
    }

    fn set_made(
        &mut self,
        name: HeaderName,
        make: impl Fn(&Connection) -> Result<Option<HeaderValue>> + Send + Sync + 'static,
    ) {
        self.set(name, Own::Made(Arc::new(make)));
    }

    fn set(&mut self, name: HeaderName, value: Own) {
        self.own.retain(|(other, _)| *other != name);
        self.own.push((name, value));
    }

    /// Whether the gateway sets this header itself.
    pub(super) fn owns(&self, name: &HeaderName) -> bool {
        self.own.iter().any(|(own, _)| own == name)
    }

    /// The headers whose values depend on the client.
    pub(super) fn of_clients(&self) -> impl Iterator<Item = &HeaderName> {
        let made = self.own.iter();
        let made = made.filter(|(_, value)| matches!(value, Own::Made(_)));
        made.map(|(name, _)| name).chain(&self.forwarded)
    }

    /// The headers that are passed on from the client's handshake.
    #[cfg(feature = "schema")]
    pub(super) fn of_handshakes(&self) -> impl Iterator<Item = &HeaderName> {
        self.forwarded.iter()
    }

    /// Adds the headers that do not depend on a client.
    pub(super) fn add_fixed(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.own {
            if let Own::Fixed(value) = value {
                headers.entry(name).or_insert_with(|| value.clone());
            }
        }
    }

    /// Adds all headers that are still missing, for the client of a connection.
    pub(super) fn add(&self, connection: &Connection, headers: &mut HeaderMap) -> Result<()> {
        for (name, value) in &self.own {
            if headers.contains_key(name) {
                continue;
            }
            let value = match value {
                Own::Fixed(value) => Some(value.clone()),
                Own::Made(make) => make(connection)?,
            };
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        for name in &self.forwarded {
            // A function that returned `None` has decided to leave the header out: the client's is not forwarded
            // either.
            let is_own = self.own.iter().any(|(own, _)| own == name);
            if !is_own && !headers.contains_key(name) {
                for value in connection.headers().get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own: Vec<_> = self.own.iter().map(|(name, _)| name).collect();
        f.debug_struct("Headers")
            .field("own", &own)
            .field("forwarded", &self.forwarded)
            .finish()
    }
}

const CANNOT_STAND: Error = Error::BadRequest(std::borrow::Cow::Borrowed(
    "a value contains characters that a header cannot have",
));

/// An empty text leaves the header out.
fn value(text: String) -> Result<Option<HeaderValue>> {
    if text.is_empty() {
        return Ok(None);
    }
    HeaderValue::try_from(text)
        .map(Some)
        .map_err(|_| CANNOT_STAND)
}

/// Parses the name of a header that [`wasabi_rules::header()`] allows.
pub(super) fn header(name: &str) -> Result<HeaderName, String> {
    wasabi_rules::header(name).and_then(parsed)
}

/// Parses the name of a header that [`wasabi_rules::upstream_header`] allows.
pub(super) fn upstream_header(name: &str) -> Result<HeaderName, String> {
    wasabi_rules::upstream_header(name).and_then(parsed)
}

/// Parses the name of a header that [`wasabi_rules::forwarded_header`] allows.
pub(super) fn forwarded_header(name: &str) -> Result<HeaderName, String> {
    wasabi_rules::forwarded_header(name).and_then(parsed)
}

fn parsed(name: String) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_set_again_has_the_later_value() {
        let mut headers = Headers::default();
        let name = HeaderName::from_static("x-a");
        headers.make(name.clone(), |_| Some("made"));
        headers.fix(name.clone(), HeaderValue::from_static("fixed"));
        let mut map = HeaderMap::new();
        headers.add_fixed(&mut map);
        assert_eq!(map[&name], "fixed");
        assert!(headers.of_clients().next().is_none());
    }
}
