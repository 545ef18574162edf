//! The check of which web pages may connect.

use http::{HeaderMap, header, uri::Authority};

use wasabi_rules::{Origin as Allowed, OriginPattern, OriginPort, default_port};

use crate::hosts::RequestedHost;

/// Origins allowed in addition to those of the same host (RFC 6455, section 10.2; RFC 6454).
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    any: bool,
    /// `null`: pages without an origin, from files or in a sandbox.
    opaque: bool,
    patterns: Vec<OriginPattern>,
}

/// The origin of a page.
struct Origin<'a> {
    scheme: &'a str,
    /// Empty for `file://`.
    host: &'a str,
    port: Option<u16>,
}

impl Origins {
    /// Parses the origins; also returns the mistakes in invalid ones.
    pub(crate) fn new<O: AsRef<str>>(patterns: impl IntoIterator<Item = O>) -> (Self, Vec<String>) {
        let (mut origins, mut mistakes) = (Self::default(), Vec::new());
        for pattern in patterns {
            match wasabi_rules::origin(pattern.as_ref()) {
                Ok(Allowed::Any) => origins.any = true,
                Ok(Allowed::Opaque) => origins.opaque = true,
                Ok(Allowed::Of(pattern)) => origins.patterns.push(pattern),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (origins, mistakes)
    }

    /// Whether a handshake with these headers may continue. Only browsers send `Origin`, and they always do.
    pub(crate) fn allow(&self, headers: &HeaderMap, target: &RequestedHost) -> bool {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let origin = match (values.next(), values.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return self.any,
        };
        if self.any {
            return true;
        }
        match origin.to_str() {
            Ok("null") => self.opaque,
            Ok(origin) => Origin::parse(origin).is_some_and(|origin| {
                origin.is_of(target) || self.patterns.iter().any(|pattern| origin.matches(pattern))
            }),
            Err(_) => false,
        }
    }
}

impl<'a> Origin<'a> {
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let usual = default_port(scheme);
        if rest.is_empty() && usual.is_none() {
            return Some(Self {
                scheme,
                host: rest,
                port: None,
            });
        }
        let authority = host_and_port(rest)?;
        let host = rest.get(..authority.host().len())?;
        Some(Self {
            scheme,
            host,
            port: authority.port_u16().or(usual),
        })
    }

    /// Whether this is the origin of the host that the client talks to, with a fitting scheme.
    fn is_of(&self, target: &RequestedHost) -> bool {
        let Some(host) = &target.host else {
            return false;
        };
        // The pages of an app, such as `capacitor://localhost`, do not come from a host.
        let usual = default_port(self.scheme);
        let scheme_fits = match target.secure {
            Some(true) => usual == Some(443),
            Some(false) => usual == Some(80),
            None => usual.is_some(),
        };
        scheme_fits
            && host.host().eq_ignore_ascii_case(self.host)
            && host.port_u16().or(usual) == self.port
    }

    fn matches(&self, pattern: &OriginPattern) -> bool {
        self.scheme.eq_ignore_ascii_case(&pattern.scheme)
            && match pattern.port {
                OriginPort::Any => true,
                OriginPort::Is(port) => port == self.port,
            }
            && match &pattern.names {
                None => self.host.is_empty(),
                Some(names) => !self.host.is_empty() && names.matches(self.host),
            }
    }
}

/// Parses a host with an optional port, and nothing else.
fn host_and_port(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let is_all = match authority.port_u16() {
        Some(_) => !text.contains('@'),
        None => authority.host() == text,
    };
    is_all.then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str], origin: &str, host: &str) -> bool {
        allowed_over(patterns, origin, host, None)
    }

    fn allowed_over(patterns: &[&str], origin: &str, host: &str, secure: Option<bool>) -> bool {
        let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        let host = host.parse().ok();
        Origins::new(patterns)
            .0
            .allow(&headers, &RequestedHost { host, secure })
    }

    #[test]
    fn the_scheme_of_the_same_host_is_compared_if_it_is_known() {
        for (secure, http, https) in [
            (None, true, true),
            (Some(true), false, true),
            (Some(false), true, false),
        ] {
            assert_eq!(
                allowed_over(&[], "http://a.test", "a.test", secure),
                http,
                "{secure:?}"
            );
            assert_eq!(
                allowed_over(&[], "https://a.test", "a.test", secure),
                https,
                "{secure:?}"
            );
        }
        assert!(allowed_over(
            &["http://a.test"],
            "http://a.test",
            "a.test",
            Some(true)
        ));
        assert!(!allowed_over(
            &[],
            "http://a.test:443",
            "a.test",
            Some(true)
        ));
    }

    #[test]
    fn pages_of_files_apps_and_local_ports_can_be_written() {
        for (pattern, inside, outside) in [
            ("null", "null", "https://null"),
            ("file://", "file://", "file://host"),
            (
                "http://localhost:*",
                "http://localhost:5173",
                "http://localhost.evil.test:5173",
            ),
            (
                "http://localhost:*",
                "http://localhost",
                "https://localhost",
            ),
            (
                "chrome-extension://*",
                "chrome-extension://abcdefgh",
                "moz-extension://abcdefgh",
            ),
            (
                "vscode-webview://*",
                "vscode-webview://0a1b",
                "vscode-webview://",
            ),
            (
                "https://*.example.com:*",
                "https://a.example.com:8443",
                "https://example.com:8443",
            ),
            ("app://-", "app://-", "app://a"),
            ("http://[::1]:*", "http://[::1]:3000", "http://[::2]:3000"),
        ] {
            assert!(
                allowed(&[pattern], inside, "api.test"),
                "{pattern} {inside}"
            );
            assert!(
                !allowed(&[pattern], outside, "api.test"),
                "{pattern} {outside}"
            );
        }
        assert!(!allowed(&["file://"], "null", "api.test"));
    }

    #[test]
    fn an_invalid_origin_is_a_mistake() {
        assert_eq!(Origins::new(["https://a.test", "b.test"]).1.len(), 1);
    }

    #[test]
    fn the_same_host_is_allowed_by_default_and_nothing_else() {
        assert!(allowed(&[], "https://example.com", "example.com"));
        assert!(allowed(&[], "http://Example.com:80", "example.com"));
        assert!(allowed(&[], "http://localhost:8080", "localhost:8080"));
        assert!(!allowed(&[], "http://localhost:8081", "localhost:8080"));
        assert!(!allowed(&[], "https://evil.com", "example.com"));
        assert!(!allowed(&[], "null", "example.com"));
        assert!(allowed(&[], "HTTP://[::1]:8080", "[::1]:8080"));
        assert!(allowed(&[], "https://[::1]", "[::1]:443"));
        assert!(!allowed(&[], "https://[::1]", "[::2]"));
    }

    #[test]
    fn the_pages_of_an_app_belong_to_no_host() {
        assert!(!allowed(&[], "capacitor://localhost", "localhost"));
        let patterns = ["capacitor://localhost"];
        assert!(allowed(&patterns, "capacitor://localhost", "api.test"));
    }

    #[test]
    fn a_client_without_an_origin_is_not_a_browser() {
        assert!(Origins::default().allow(
            &HeaderMap::new(),
            &RequestedHost {
                host: None,
                secure: None
            }
        ));
    }

    #[test]
    fn a_wildcard_matches_subdomains() {
        let patterns = ["https://*.example.com"];
        assert!(allowed(&patterns, "https://app.example.com", "api.test"));
        assert!(allowed(&patterns, "https://a.b.EXAMPLE.com", "api.test"));
        assert!(!allowed(&patterns, "https://example.com", "api.test"));
        assert!(!allowed(&patterns, "https://evilexample.com", "api.test"));
        assert!(!allowed(&patterns, "http://app.example.com", "api.test"));
        let other_scheme = "http://app.example.com:443";
        assert!(!allowed(&patterns, other_scheme, "api.test"));
        assert!(!allowed(
            &patterns,
            "https://app.example.com:444",
            "api.test"
        ));
        assert!(!allowed(
            &patterns,
            "https://app.example.com.evil.com",
            "api.test"
        ));
    }

    #[test]
    fn a_star_allows_everybody() {
        assert!(allowed(&["*"], "null", "example.com"));
        assert!(allowed(&["*"], "https://evil.com", "example.com"));
    }

    #[test]
    fn an_invalid_origin_allows_nothing() {
        for pattern in [
            "example.com",
            "https://",
            "https://a.*.com",
            "https://u@h",
            "https://a.b.com:99999",
            "https://a.b.com:",
            "https://a.b.com/",
            "",
        ] {
            assert!(
                !allowed(&[pattern], "https://a.b.com", "api.test"),
                "{pattern}"
            );
        }
    }
}
