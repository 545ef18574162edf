//! The host and the scheme that a client requested from a proxy.

use http::{HeaderMap, header::FORWARDED};

use super::hops;
use crate::connection::peer::Front;

impl Front {
    /// Reads `X-Forwarded-Host` and `X-Forwarded-Proto`. Ignores lists, as several proxies create them: the first value
    /// may come from the client.
    pub(super) fn x_forwarded(headers: &HeaderMap) -> Option<Self> {
        let single = |name| hops::only(headers, name).filter(|value| !value.contains(','));
        Self::new(single("x-forwarded-host"), single("x-forwarded-proto"))
    }

    /// Reads `host` and `proto` from the only element of `Forwarded` (RFC 7239).
    pub(super) fn forwarded(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(FORWARDED).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        Self::new(
            hops::only_parameter(line.as_bytes(), "host"),
            hops::only_parameter(line.as_bytes(), "proto"),
        )
    }

    fn new(host: Option<&str>, scheme: Option<&str>) -> Option<Self> {
        let host = host.and_then(|host| host.trim().parse().ok());
        let scheme = scheme.map(|scheme| scheme.trim().to_ascii_lowercase());
        let secure = match scheme.as_deref() {
            Some("https" | "wss") => Some(true),
            Some("http" | "ws") => Some(false),
            _ => None,
        };
        (host.is_some() || secure.is_some()).then_some(Self { host, secure })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    fn front(host: Option<&str>, secure: Option<bool>) -> Option<Front> {
        let host = host.map(|host| host.parse().expect("a host"));
        Some(Front { host, secure })
    }

    #[test]
    fn one_value_of_each_header_counts() {
        let host = ("x-forwarded-host", "a.test:8443");
        let told = |lines: &[_]| Front::x_forwarded(&headers(lines));
        assert_eq!(
            told(&[host, ("x-forwarded-proto", "HTTPS")]),
            front(Some("a.test:8443"), Some(true))
        );
        assert_eq!(
            told(&[host, ("x-forwarded-proto", "gopher")]),
            front(Some("a.test:8443"), None)
        );
        assert_eq!(
            told(&[("x-forwarded-proto", "http")]),
            front(None, Some(false))
        );
        assert_eq!(told(&[host, host]), None);
        assert_eq!(told(&[("x-forwarded-host", "evil.test, a.test")]), None);
        assert_eq!(told(&[("x-forwarded-host", "a test")]), None);
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn one_element_of_forwarded_counts() {
        let told = |line: &'static str| Front::forwarded(&headers(&[("forwarded", line)]));
        assert_eq!(
            told("for=1.2.3.4;host=a.test;proto=https"),
            front(Some("a.test"), Some(true))
        );
        assert_eq!(
            told("for=1.2.3.4; Host=\"a.test:1\"; Proto=\"http\""),
            front(Some("a.test:1"), Some(false))
        );
        assert_eq!(told("host=evil.test, host=a.test"), None);
        assert_eq!(told("host=evil.test;host=a.test"), None);
        assert_eq!(told("host=\"a.test"), None);
        assert_eq!(told("for=1.2.3.4"), None);
    }
}
