//! Patterns of the origins (RFC 6454) of web pages that may connect.

use crate::{
    host::{Names, bare_host},
    url,
};

/// Which origins a pattern lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `*`: every one.
    Any,
    /// `null`: pages without an origin, of files or in a sandbox.
    Opaque,
    /// Those of a scheme, some names and some ports.
    Of(OriginPattern),
}

/// A pattern with a scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// In lower case.
    pub scheme: String,
    /// `None` without a host: `file://`.
    pub names: Option<Names>,
    /// Which ports.
    pub port: OriginPort,
}

/// The ports of a pattern of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginPort {
    /// Every one.
    Any,
    /// This port. If none is written, the scheme's default, or `None` for a scheme without one.
    Is(Option<u16>),
}

/// The default port of a scheme.
pub fn default_port(scheme: &str) -> Option<u16> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

/// `https://host[:port]`, `https://*.example.com`, `http://localhost:*`, `chrome-extension://*`, `file://`, `null` or
/// `*`.
pub fn origin(text: &str) -> Result<Origin, String> {
    match text {
        "*" => return Ok(Origin::Any),
        "null" => return Ok(Origin::Opaque),
        _ if text.eq_ignore_ascii_case("null") => {
            return Err(format!("`{text}` is not an origin; write `null`"));
        }
        _ => {}
    }
    let Some((scheme, rest)) = text
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
    else {
        return Err(without_scheme(text));
    };
    let usual = default_port(scheme);
    let pattern = |names, port| {
        let scheme = scheme.to_ascii_lowercase();
        Ok(Origin::Of(OriginPattern {
            scheme,
            names,
            port,
        }))
    };
    if rest.is_empty() && usual.is_none() {
        return pattern(None, OriginPort::Is(None));
    }
    if scheme.eq_ignore_ascii_case("file") {
        return Err(
            "an origin of files has no host; write `file://`, or `null` for browsers that send that".to_owned(),
        );
    }
    let shown = |host: &str| format!("write `{scheme}://{}`", host.escape_debug());
    let bare = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if bare != rest {
        return Err(format!("an origin cannot have a path; {}", shown(bare)));
    }
    if let Some((_, host)) = rest.rsplit_once('@') {
        return Err(format!("an origin cannot have a user; {}", shown(host)));
    }
    let (any_port, rest) = match rest.strip_suffix(":*") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.strip_prefix('*').unwrap_or(rest).contains('*') {
        return Err(
            "a `*` in an origin can only replace whole names at the start (`https://*.example.com`), a port \
             (`http://localhost:*`), or the whole host (`chrome-extension://*`)"
                .to_owned(),
        );
    }
    let (names, port) = Names::parse(rest)?;
    let port = match (any_port, port) {
        (true, None) => OriginPort::Any,
        (true, Some(_)) => return Err(format!("`{}:*` is not a host", rest.escape_debug())),
        (false, None) => OriginPort::Is(usual),
        (false, Some(port)) => OriginPort::Is(Some(url::port(port)?)),
    };
    pattern(Some(names), port)
}

fn without_scheme(text: &str) -> String {
    let host = match bare_host(text) {
        "" => "example.com",
        host => host,
    };
    let is_local = ["localhost", "127.", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local));
    let scheme = if is_local { "http" } else { "https" };
    format!(
        "`{}` is not an origin; write `{scheme}://{}`, or `*` for every page",
        text.escape_debug(),
        host.escape_debug()
    )
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_schemes_names_and_ports() {
        let of = |scheme: &str, names, port| {
            Ok(Origin::Of(OriginPattern {
                scheme: scheme.to_owned(),
                names,
                port,
            }))
        };
        let only = |name: &str| Some(Names::Only(name.to_owned()));
        let below = |name: &str| Some(Names::Below(name.to_owned()));
        for (text, expected) in [
            ("*", Ok(Origin::Any)),
            ("null", Ok(Origin::Opaque)),
            (
                "HTTPS://A.example",
                of("https", only("a.example"), OriginPort::Is(Some(443))),
            ),
            (
                "https://*.example.com:*",
                of("https", below(".example.com"), OriginPort::Any),
            ),
            (
                "http://localhost:3000",
                of("http", only("localhost"), OriginPort::Is(Some(3000))),
            ),
            (
                "https://[::1]:1",
                of("https", only("[::1]"), OriginPort::Is(Some(1))),
            ),
            ("http://[::1]:*", of("http", only("[::1]"), OriginPort::Any)),
            (
                "tauri://localhost",
                of("tauri", only("localhost"), OriginPort::Is(None)),
            ),
            ("file://", of("file", None, OriginPort::Is(None))),
            (
                "chrome-extension://*",
                of("chrome-extension", Some(Names::All), OriginPort::Is(None)),
            ),
            ("app://-", of("app", only("-"), OriginPort::Is(None))),
        ] {
            assert_eq!(origin(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let message = |text| origin(text).expect_err(text);
        assert_eq!(
            message("https://a.example/"),
            "an origin cannot have a path; write `https://a.example`"
        );
        assert_eq!(
            message("a.example"),
            "`a.example` is not an origin; write `https://a.example`, or `*` for every page"
        );
        assert_eq!(
            message("localhost:*"),
            "`localhost:*` is not an origin; write `http://localhost:*`, or `*` for every page"
        );
        for text in ["https://a.*.example", "https://a*.example", "https://**"] {
            assert!(message(text).contains("whole names at the start"), "{text}");
        }
        assert!(
            message("file:///index.html")
                .ends_with("write `file://`, or `null` for browsers that send that")
        );
        assert_eq!(message("Null"), "`Null` is not an origin; write `null`");
        assert_eq!(message("https://"), "`` is not a host");
        assert_eq!(message("https://a b"), "`a b` is not a host");
        assert_eq!(message("https://a:x"), "`x` is not a port");
        assert_eq!(
            message("https://me@a"),
            "an origin cannot have a user; write `https://a`"
        );
    }
}
