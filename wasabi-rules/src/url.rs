//! URLs of upstreams (RFC 3986).

use std::net::Ipv6Addr;

use crate::{
    places::{self, places},
    secrets::url_without_secrets,
};

/// The schemes of each kind of upstream.
pub mod schemes {
    /// HTTP services.
    pub const HTTP: &[&str] = &["http", "https"];
    /// WebSocket servers.
    pub const WEBSOCKET: &[&str] = &["ws", "wss"];
    /// Redis.
    pub const REDIS: &[&str] = &["redis", "rediss", "valkey", "valkeys"];
    /// Several Redis servers.
    pub const REDIS_SERVERS: &[&str] = &[
        "redis+sentinel",
        "rediss+sentinel",
        "valkey+sentinel",
        "valkeys+sentinel",
        "redis+cluster",
        "rediss+cluster",
        "valkey+cluster",
        "valkeys+cluster",
    ];
    /// RabbitMQ.
    pub const AMQP: &[&str] = &["amqp", "amqps"];
    /// NATS.
    pub const NATS: &[&str] = &["nats", "tls"];
}

/// The parts of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// The scheme, in lower case.
    pub scheme: &'static str,
    /// `user:password`, percent-encoded, if there is any.
    pub userinfo: Option<&'a str>,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// Path and query.
    pub rest: &'a str,
}

/// Parses a complete URL with one of these schemes.
pub fn url<'a>(text: &'a str, schemes: &[&'static str]) -> Result<Url<'a>, String> {
    let shown = || url_without_secrets(text).escape_debug().to_string();
    let (scheme, after_scheme) = scheme_of(text, schemes)?;
    if text.contains('#')
        && (schemes::HTTP.contains(&scheme) || schemes::WEBSOCKET.contains(&scheme))
    {
        return Err(format!(
            "the part of a URL after `#` is never sent; write `{}`",
            shown()
        ));
    }
    check_places(text, scheme)?;
    let end = after_scheme
        .find(['/', '?', '#'])
        .unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at(end);
    let (userinfo, at) = match authority.rsplit_once('@') {
        Some((userinfo, at)) => (Some(userinfo), at),
        None => (None, authority),
    };
    if at.is_empty() || at.starts_with(':') {
        return Err(format!("`{}` has no host", shown()));
    }
    if userinfo.is_none() && rest.contains('@') && place(at).is_none_or(|place| !place.is_whole()) {
        return Err(format!(
            "`{scheme}://..` has no valid port before its `@`; percent-encode `/`, `?` and `#` in a user or password"
        ));
    }
    let Some(Place {
        host,
        port: written,
    }) = place(at)
    else {
        return Err(match at.starts_with('[') || !at.contains(':') {
            true => format!("`{}` is not a host", at.escape_debug()),
            // Not shown: it may be `user:password`.
            false => format!("`{scheme}://..` has an invalid host or port"),
        });
    };
    let Ok(port) = written.map(port).transpose() else {
        // Not shown: it is a password, if `@` and the host after it were forgotten.
        return Err(format!(
            "`{scheme}://{host}:..` has an invalid port; write 1 to 65535, or `{host}:password@host`"
        ));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Url {
        scheme,
        userinfo,
        host,
        port,
        rest,
    })
}

/// Checks the scheme and the characters of a URL. Returns the scheme and what follows it.
pub(crate) fn scheme_of<'a>(
    text: &'a str,
    schemes: &[&'static str],
) -> Result<(&'static str, &'a str), String> {
    let expected = || {
        let quoted: Vec<_> = schemes.iter().map(|name| format!("`{name}://`")).collect();
        quoted.join(" or ")
    };
    let shown = || url_without_secrets(text).escape_debug().to_string();
    let Some((scheme, after_scheme)) = text.split_once("://") else {
        return Err(format!(
            "`{}` is not a complete URL; start it with {}",
            shown(),
            expected()
        ));
    };
    if let Some(found) = text
        .chars()
        .find(|c| !c.is_ascii_graphic() || "\"<>\\^`".contains(*c))
    {
        return Err(format!(
            "`{}` is not a URL: `{}` is not allowed; percent-encode it",
            shown(),
            found.escape_debug()
        ));
    }
    let Some(scheme) = schemes
        .iter()
        .find(|name| name.eq_ignore_ascii_case(scheme))
    else {
        return Err(format!(
            "the scheme `{scheme}://` is not supported here; write {}",
            expected()
        ));
    };
    Ok((*scheme, after_scheme))
}

/// Checks the places in a URL that are filled in for each message.
fn check_places(text: &str, scheme: &'static str) -> Result<(), String> {
    if schemes::HTTP.contains(&scheme) {
        places(text)?;
    }
    if schemes::WEBSOCKET.contains(&scheme) {
        let in_message = places(text)?.into_iter().find_map(|place| match place {
            places::Place::InMessage(pointer) => Some(pointer),
            _ => None,
        });
        if let Some(pointer) = in_message {
            return Err(format!(
                "`{{{pointer}}}` takes a value of the message, but the gateway dials a WebSocket server before the first message"
            ));
        }
    }
    Ok(())
}

/// URLs separated by commas.
pub fn urls<'a>(text: &'a str, schemes: &[&'static str]) -> Result<Vec<Url<'a>>, String> {
    text.split(',').map(|each| url(each, schemes)).collect()
}

/// A host, with the brackets of an IPv6 address, and what is written as its port.
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<&'a str>,
}

impl Place<'_> {
    /// Whether there is no port, or a valid one.
    fn is_whole(&self) -> bool {
        self.port.is_none_or(|text| port(text).is_ok())
    }
}

/// `host` or `host:port`; `None` if the host is not one.
pub(crate) fn place(text: &str) -> Option<Place<'_>> {
    let end = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, _) = inner.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address.len() + 2
        }
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, after) = text.split_at(end);
    let port = match after.strip_prefix(':') {
        None if !after.is_empty() => return None,
        port => port,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_host = host.starts_with('[') || (!host.is_empty() && host.bytes().all(fits));
    is_host.then_some(Place { host, port })
}

/// Parses a port that a client can connect to.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    port.ok_or_else(|| format!("`{}` is not a port", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Result<Url<'_>, String> {
        url(text, schemes::HTTP)
    }

    #[test]
    fn parts_are_found() {
        assert_eq!(
            http("https://user:pw@example.com:8443/a?b=c"),
            Ok(Url {
                scheme: "https",
                userinfo: Some("user:pw"),
                host: "example.com",
                port: Some(8443),
                rest: "/a?b=c",
            })
        );
        let parsed = url("WSS://[::1]", schemes::WEBSOCKET).expect("a URL");
        assert_eq!(
            (parsed.scheme, parsed.host, parsed.port),
            ("wss", "::1", None)
        );
        assert!(http("http://my_service:80").is_ok());
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let message = |text| http(text).expect_err(text);
        assert_eq!(
            message("localhost:8080/a"),
            "`localhost:8080/a` is not a complete URL; start it with `http://` or `https://`"
        );
        assert_eq!(
            message("ws://a/"),
            "the scheme `ws://` is not supported here; write `http://` or `https://`"
        );
        let invalid = "`http://me:..` has an invalid port; write 1 to 65535, or `me:password@host`";
        assert_eq!(message("http://me:99999/"), invalid);
        assert_eq!(message("http://me:0/"), invalid);
        assert_eq!(message("http://me:secret/path"), invalid);
        assert_eq!(message("http://me:123456"), invalid);
        assert_eq!(
            message("http://me!:secret"),
            "`http://..` has an invalid host or port"
        );
        assert_eq!(message("http:///a"), "`http:///a` has no host");
        assert_eq!(
            message("http://a b/"),
            "`http://a b/` is not a URL: ` ` is not allowed; percent-encode it"
        );
        assert_eq!(message("http://[::1/"), "`[::1` is not a host");
        assert_eq!(
            message("http://a/#b"),
            "the part of a URL after `#` is never sent; write `http://a/`"
        );
    }

    #[test]
    fn messages_keep_secrets() {
        for text in [
            "http://me:secret@/",
            "http://me:secret@a\n/",
            "me:secret@a?token=secret",
            "http://me:secret?x@a/",
            "http://me:secret#x@a/",
            "http://me:secret/x@a/",
            "http://me:secret!/x@a/",
            "http://me:top/secret@a b",
            "http://me:top/secret@a/#b",
            "http://a b?token=secret",
        ] {
            let message = http(text).expect_err(text);
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn every_kind_of_upstream_may_have_credentials() {
        let parsed = url("ws://me:secret@a/?b=secret", schemes::WEBSOCKET).expect("a URL");
        assert_eq!((parsed.userinfo, parsed.host), (Some("me:secret"), "a"));
        assert!(url("redis://me:secret@a/", schemes::REDIS).is_ok());
    }

    #[test]
    fn several_urls_are_separated_by_commas() {
        assert_eq!(
            urls("nats://a:4222,tls://b", schemes::NATS).map(|urls| urls.len()),
            Ok(2)
        );
        assert!(urls("nats://a,b:4222", schemes::NATS).is_err());
    }
}
