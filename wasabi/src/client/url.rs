//! The URL of a channel.

use std::fmt;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The URL of a channel, from the URL of the server and the path's pieces. Mistakes are reported by
/// [`Client::connect`](super::Client::connect).
#[derive(Debug, Clone)]
pub struct Url {
    text: String,
    mistake: Option<InvalidUrl>,
}

/// Why a URL cannot be connected to. It does not repeat the URL, which may have a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(String);

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidUrl {}

/// What is written as it is in a segment (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Url {
    /// The URL of the server, such as `wss://api.example.com`.
    pub fn new(base: &str) -> Self {
        Self {
            text: base.trim_end_matches('/').to_owned(),
            mistake: None,
        }
    }

    /// Adds a part of the path as it is.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text += text;
        self
    }

    /// Adds a segment of the path. A gateway refuses segments that are empty, dots, or have a slash, a backslash or NUL.
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        let is_bad = |c: char| matches!(c, '/' | '\\' | '\0');
        if matches!(segment, "" | "." | "..") || segment.contains(is_bad) {
            let mistake = format!("{segment:?} cannot be a segment of a path");
            self.mistake.get_or_insert(InvalidUrl(mistake));
        }
        self.text.extend(utf8_percent_encode(segment, ENCODED));
        self
    }

    /// Adds the rest of the path, of segments with slashes between them.
    #[must_use]
    pub fn rest(self, rest: &str) -> Self {
        let mut segments = rest.split('/');
        let first = self.segment(segments.next().unwrap_or_default());
        segments.fold(first, |url, segment| url.text("/").segment(segment))
    }

    pub(super) fn finish(self) -> Result<Uri, InvalidUrl> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let invalid = |text: &str| InvalidUrl(text.to_owned());
        let uri: Uri = self
            .text
            .parse()
            .map_err(|error: http::uri::InvalidUri| InvalidUrl(error.to_string()))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(invalid("the URL has no host"));
        }
        match uri.scheme_str() {
            Some("ws") => Ok(uri),
            Some("wss") if cfg!(feature = "tls") => Ok(uri),
            Some("wss") => Err(invalid("`wss` needs the cargo feature `tls` of wasabi")),
            _ => Err(invalid("the URL does not begin with `ws://` or `wss://`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one_segment() {
        let url = Url::new("ws://host/").text("/v1/").segment("a b?c#ü");
        let uri = url.finish().expect("a URL");
        assert_eq!(uri.to_string(), "ws://host/v1/a%20b%3Fc%23%C3%BC");
        for bad in ["", ".", "..", "a/b", "a\\b", "\0"] {
            let url = Url::new("ws://host").text("/").segment(bad);
            assert!(url.finish().is_err(), "{bad:?}");
        }
        let rest = Url::new("ws://host").text("/").rest("a/b c").finish();
        assert_eq!(rest.expect("a URL").path(), "/a/b%20c");
        assert!(
            Url::new("ws://host")
                .text("/")
                .rest("a/../b")
                .finish()
                .is_err()
        );
    }

    #[test]
    fn other_schemes_and_no_host_are_mistakes() {
        for base in ["http://host", "ws://", "host:1", "", "/path"] {
            assert!(Url::new(base).text("/v1").finish().is_err(), "{base}");
        }
    }
}
