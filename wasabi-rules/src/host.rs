//! Patterns of the hosts that a channel answers to.

use crate::url::{self, Place, place};

/// The names that a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// `*`
    All,
    /// `*.example.com`, as `.example.com`
    Below(String),
    /// `example.com`, `192.0.2.1` or `[::1]`
    Only(String),
}

/// A pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// Which names.
    pub names: Names,
    /// The only port that matches; any port if `None`.
    pub port: Option<u16>,
}

impl Names {
    /// Whether a name matches, ignoring case.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(name) => name.eq_ignore_ascii_case(host),
            Self::Below(end) => {
                let start = host.len().saturating_sub(end.len());
                start > 0
                    && host
                        .get(start..)
                        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }
        }
    }

    /// The names, and what stands behind their last colon.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<&str>), String> {
        let (is_below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if !is_below && (rest == "*" || rest.starts_with("*:")) {
            return Ok((Self::All, rest.strip_prefix("*:")));
        }
        let Some(Place { host, port }) = place(rest) else {
            return Err(format!("`{}` is not a host", text.escape_debug()));
        };
        let name = host.to_ascii_lowercase();
        let names = match is_below {
            true => Self::Below(format!(".{name}")),
            false => Self::Only(name),
        };
        Ok((names, port))
    }
}

/// `api.example.com`, `api.example.com:8443`, `*.example.com` or `*`.
pub fn host(text: &str) -> Result<HostPattern, String> {
    let bare = bare_host(text);
    if bare != text {
        let advice = if host(bare).is_ok() {
            bare
        } else {
            "api.example.com"
        };
        return Err(format!(
            "`{}` is not a host; write `{}`",
            text.escape_debug(),
            advice
        ));
    }
    let stars = text.strip_prefix('*').unwrap_or(text);
    if stars.contains('*') || (stars.len() < text.len() && stars.starts_with(':')) {
        return Err(
            "a `*` in a host can only replace whole names at the start: `*.example.com`; a host without a port \
             matches every port"
                .to_owned(),
        );
    }
    let example = |_| {
        format!(
            "`{}` is not a host; write it like `api.example.com` or `*.example.com`",
            text.escape_debug()
        )
    };
    let (names, port) = Names::parse(text).map_err(example)?;
    let port = port.map(url::port).transpose()?;
    Ok(HostPattern { names, port })
}

/// How many hosts a channel or a gateway answers to: one or more.
pub fn hosts_count(count: usize) -> Result<usize, String> {
    match count {
        0 => Err(
            "`hosts` is empty, so no request would be answered; list the hosts, or leave the setting out"
                .to_owned(),
        ),
        _ => Ok(count),
    }
}

/// The text without scheme, user, path, query and fragment.
pub(crate) fn bare_host(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    rest.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_ports() {
        let only = |name: &str| Names::Only(name.to_owned());
        for (text, names, port) in [
            ("*", Names::All, None),
            ("A.example", only("a.example"), None),
            (
                "*.example.com",
                Names::Below(".example.com".to_owned()),
                None,
            ),
            ("a.example:8443", only("a.example"), Some(8443)),
            ("my_service", only("my_service"), None),
            ("[::1]:1", only("[::1]"), Some(1)),
            ("192.0.2.1", only("192.0.2.1"), None),
        ] {
            assert_eq!(host(text), Ok(HostPattern { names, port }), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let message = |text| host(text).expect_err(text);
        for text in ["https://a.example", "a.example/", "me@a.example"] {
            assert_eq!(
                message(text),
                format!("`{text}` is not a host; write `a.example`")
            );
        }
        for text in ["a.*.example", "*:80", "*.*.a", "**"] {
            assert!(message(text).contains("whole names at the start"), "{text}");
        }
        assert!(message("a.example:*").contains("matches every port"));
        for text in ["a:x", "a:0", "a:99999"] {
            assert!(message(text).ends_with("is not a port"), "{text}");
        }
        for text in ["", "a b", "*.", "[::1", "a,b", "b\u{fc}cher.example"] {
            assert!(message(text).contains("write it like"), "{text}");
        }
    }
}
