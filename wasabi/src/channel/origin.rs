//! Which web pages may connect.

use http::{HeaderMap, header, uri::Authority};

/// Origins that are allowed beside those of the same host (RFC 6455, section 10.2; RFC 6454).
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    any: bool,
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    scheme: String,
    /// `example.com`, or `.example.com` for everything below it.
    host: String,
    below: bool,
    port: Option<u16>,
}

impl Origins {
    /// The origins, and what is wrong with those that are none.
    pub(crate) fn new<O: AsRef<str>>(patterns: impl IntoIterator<Item = O>) -> (Self, Vec<String>) {
        let (mut origins, mut mistakes) = (Self::default(), Vec::new());
        for pattern in patterns {
            match pattern.as_ref() {
                "*" => origins.any = true,
                pattern => match Pattern::parse(pattern) {
                    Some(pattern) => origins.patterns.push(pattern),
                    None => mistakes.push(mistake(pattern)),
                },
            }
        }
        (origins, mistakes)
    }

    /// Whether a handshake with these headers may go on. Only browsers send `Origin`, and they always do.
    pub(crate) fn allow(&self, headers: &HeaderMap, host: Option<&Authority>) -> bool {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let origin = match (values.next(), values.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return self.any,
        };
        if self.any {
            return true;
        }
        let Some((scheme, origin)) = origin.to_str().ok().and_then(|o| o.split_once("://")) else {
            return false; // also `null`, which sandboxed and local pages send
        };
        let Some(authority) = host_and_port(origin) else {
            return false;
        };
        let usual = default_port(scheme);
        let port = authority.port_u16().or(usual);
        let same_host = host.is_some_and(|host| {
            // The pages of an app, such as `capacitor://localhost`, come from no host.
            usual.is_some()
                && host.host().eq_ignore_ascii_case(authority.host())
                && host.port_u16().or(usual) == port
        });
        same_host
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(scheme, authority.host(), port))
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Option<Self> {
        let (scheme, rest) = pattern.split_once("://")?;
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let authority = host_and_port(rest)?;
        if scheme.is_empty() || authority.host().contains('*') {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            host: if below { format!(".{host}") } else { host },
            below,
            port: authority.port_u16().or(default_port(scheme)),
        })
    }

    fn matches(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let host = host.to_ascii_lowercase();
        scheme.eq_ignore_ascii_case(&self.scheme)
            && port == self.port
            && match self.below {
                true => host.len() > self.host.len() && host.ends_with(&self.host),
                false => host == self.host,
            }
    }
}

fn mistake(pattern: &str) -> String {
    let bare = |text: &str| text.split(['/', '?', '#']).next().map(str::to_owned);
    let (scheme, host) = match pattern.split_once("://") {
        Some((scheme, rest)) => (scheme, bare(rest)),
        None => ("https", bare(pattern)),
    };
    let host = host.unwrap_or_default();
    format!(
        "`{pattern}` is not an origin; it is written like `{scheme}://{host}`, or `*` for every page"
    )
}

/// A host, perhaps with a port, and nothing else.
fn host_and_port(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let is_all = match authority.port_u16() {
        Some(_) => !text.contains('@'),
        None => authority.host() == text,
    };
    is_all.then_some(authority)
}

fn default_port(scheme: &str) -> Option<u16> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str], origin: &str, host: &str) -> bool {
        let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        Origins::new(patterns)
            .0
            .allow(&headers, Some(&host.parse().unwrap()))
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
    fn the_pages_of_an_app_are_of_no_host() {
        assert!(!allowed(&[], "capacitor://localhost", "localhost"));
        let patterns = ["capacitor://localhost"];
        assert!(allowed(&patterns, "capacitor://localhost", "api.test"));
    }

    #[test]
    fn a_client_without_origin_is_no_browser() {
        assert!(Origins::default().allow(&HeaderMap::new(), None));
    }

    #[test]
    fn a_wildcard_stands_for_what_is_below_the_domain() {
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
    fn what_is_no_origin_allows_nothing() {
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
