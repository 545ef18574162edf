//! The host names that a gateway answers to.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, StatusCode, Uri, header, uri::Authority};

use wasabi_rules::{HostPattern, Names};

use crate::{
    connection::peer::{Front, OverTls},
    log::limited,
};

/// The host names that clients may use (RFC 9110, section 7.4).
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    any: bool,
    /// Addresses are safe: unlike a name, nobody can make them resolve to something else.
    any_address: bool,
    patterns: Vec<HostPattern>,
}

/// The host and scheme that a client asked for.
pub(crate) struct RequestedHost {
    pub(crate) host: Option<Authority>,
    /// Whether the client uses TLS; `None` if a proxy may have terminated it.
    pub(crate) secure: Option<bool>,
}

impl Hosts {
    /// Returns the valid names, and the mistakes in the others.
    pub(crate) fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> (Self, Vec<String>) {
        let (mut hosts, mut mistakes) = (Self::default(), Vec::new());
        for name in names {
            match wasabi_rules::host(name.as_ref()) {
                Ok(HostPattern {
                    names: Names::All, ..
                }) => hosts.any = true,
                Ok(pattern) => hosts.patterns.push(pattern),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if !hosts.any && hosts.patterns.is_empty() && mistakes.is_empty() {
            mistakes.extend(wasabi_rules::hosts_count(0).err());
        }
        (hosts, mistakes)
    }

    /// The names that operators use: `localhost` and every address.
    pub(crate) fn of_this_machine() -> Self {
        Self {
            any: false,
            any_address: true,
            patterns: vec![HostPattern {
                names: Names::Only("localhost".to_owned()),
                port: None,
            }],
        }
    }

    /// Adds names, and returns the mistakes in invalid ones.
    pub(crate) fn extend<N: AsRef<str>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Vec<String> {
        let (more, mistakes) = Self::new(names);
        self.any |= more.any;
        self.patterns.extend(more.patterns);
        mistakes
    }

    pub(crate) fn answer_to(&self, target: &RequestedHost) -> bool {
        if self.any {
            return true;
        }
        let Some(authority) = &target.host else {
            return false;
        };
        let host = authority.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        let port = authority.port_u16().or(match target.secure {
            Some(true) => Some(443),
            Some(false) => Some(80),
            None => None,
        });
        let is_address = || {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<std::net::IpAddr>().is_ok()
        };
        self.any_address && is_address()
            || self
                .patterns
                .iter()
                .any(|pattern| matches(pattern, host, port))
    }
}

fn matches(pattern: &HostPattern, host: &str, port: Option<u16>) -> bool {
    pattern.names.matches(host)
        && match (pattern.port, port) {
            (Some(expected), Some(port)) => expected == port,
            // Only the proxy knows whether it is 80 or 443.
            (Some(expected), None) => matches!(expected, 80 | 443),
            (None, _) => true,
        }
}

impl RequestedHost {
    /// A trusted proxy reports the host and scheme that it was asked for. Nobody else's claim counts.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let front = extensions.get::<Front>();
        let over_tls = extensions.get::<OverTls>().map(|OverTls| true);
        Self {
            host: front
                .and_then(|front| front.host.clone())
                .or_else(|| asked_host(uri, headers)),
            secure: front.and_then(|front| front.secure).or(over_tls),
        }
    }
}

/// The authority from the request target, or from its only `Host` header (RFC 9112, section 3.2).
fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut values = headers.get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Answers requests for other hosts with 421.
pub(crate) async fn only_for(
    State(hosts): State<Arc<Hosts>>,
    req: Request,
    next: Next,
) -> Response {
    let target = RequestedHost::of(req.uri(), req.headers(), req.extensions());
    if hosts.answer_to(&target) {
        return next.run(req).await;
    }
    log_misdirected(req.uri().path(), req.headers());
    misdirected()
}

const MISDIRECTED: &str = "this host is not served here";

/// 421 Misdirected Request (RFC 9110, section 15.5.20).
pub(crate) fn misdirected() -> Response {
    (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response()
}

pub(crate) fn log_misdirected(path: &str, headers: &HeaderMap) {
    let host = shown(headers, "host");
    let forwarded_host = shown(headers, "x-forwarded-host");
    limited!(
        INFO,
        path,
        ?host,
        ?forwarded_host,
        why = MISDIRECTED,
        "request refused"
    );
}

/// A header for the log: cut to 256 bytes. Log it with `Debug`, which escapes what a client made up.
pub(crate) fn shown<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let value = headers.get(name)?.as_bytes();
    Some(String::from_utf8_lossy(&value[..value.len().min(256)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(names: &[&str], host: &str, secure: Option<bool>) -> bool {
        let (hosts, mistakes) = Hosts::new(names);
        assert_eq!(mistakes, [""; 0]);
        let host = host.parse().ok();
        hosts.answer_to(&RequestedHost { host, secure })
    }

    #[test]
    fn names_are_compared_without_case_and_the_dot_at_their_end() {
        for host in ["example.com", "EXAMPLE.com:8080", "example.com."] {
            assert!(answers(&["Example.com"], host, None), "{host}");
        }
        for host in [
            "example.com.evil.test",
            "www.example.com",
            "evilexample.com",
            "",
            "[::1]",
        ] {
            assert!(!answers(&["example.com"], host, None), "{host}");
        }
        assert!(answers(&["[::1]", "192.0.2.1"], "[::1]:8080", None));
        assert!(answers(&["[::1]", "192.0.2.1"], "192.0.2.1", None));
    }

    #[test]
    fn a_wildcard_matches_subdomains() {
        assert!(answers(&["*.example.com"], "a.b.example.com", None));
        assert!(!answers(&["*.example.com"], "example.com", None));
        assert!(!answers(&["*.example.com"], ".example.com", None));
        assert!(!answers(
            &["*.example.com"],
            "a.example.com.evil.test",
            None
        ));
        assert!(answers(&["*"], "anything", None));
    }

    #[test]
    fn a_port_is_compared_if_one_is_written() {
        assert!(answers(&["a.test:8443"], "a.test:8443", None));
        assert!(!answers(&["a.test:8443"], "a.test", None));
        assert!(!answers(&["a.test:443"], "a.test", Some(false)));
        assert!(answers(&["a.test:443"], "a.test", Some(true)));
        assert!(answers(&["a.test:443"], "a.test", None));
    }

    #[test]
    fn operators_ask_by_address_or_for_localhost() {
        let hosts = Hosts::of_this_machine();
        let answers = |host: &str| {
            let host = host.parse().ok();
            hosts.answer_to(&RequestedHost { host, secure: None })
        };
        for host in ["localhost:9090", "127.0.0.1", "[::1]:9090", "10.1.2.3:9090"] {
            assert!(answers(host), "{host}");
        }
        for host in [
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "",
        ] {
            assert!(!answers(host), "{host}");
        }
    }

    #[test]
    fn invalid_hosts_and_an_empty_list_are_mistakes() {
        assert_eq!(
            Hosts::new(["https://api.example.com/", "b.test"]).1.len(),
            1
        );
        assert_eq!(Hosts::new([""; 0]).1.len(), 1);
    }
}
