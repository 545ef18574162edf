//! Literals with a grammar of their own: origins, hosts, and the arguments of calls.

mod known;

use http::uri::Authority;
use proc_macro2::TokenStream;
use syn::LitStr;

pub(crate) use self::known::check_calls;
use crate::{
    diagnostics::Diagnostics,
    fragment::{elements, string},
};

fn check_text<T>(
    literal: &LitStr,
    rule: impl Fn(&str) -> Result<T, String>,
    diagnostics: &mut Diagnostics,
) {
    if let Err(message) = rule(&literal.value()) {
        diagnostics.error(literal, message);
    }
}

/// Checks the string literals in a list in brackets.
pub(crate) fn check_list<T>(
    tokens: &TokenStream,
    rule: impl Fn(&str) -> Result<T, String>,
    diagnostics: &mut Diagnostics,
) {
    for literal in elements(tokens)
        .unwrap_or_default()
        .iter()
        .filter_map(string)
    {
        check_text(&literal, &rule, diagnostics);
    }
}

fn check_port(authority: &Authority) -> Result<(), String> {
    let text = authority.as_str();
    let after_host = text
        .rsplit_once(authority.host())
        .map_or("", |(_, after)| after);
    match after_host.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_err() => Err(format!("`{port}` is not a port")),
        _ => Ok(()),
    }
}

/// `https://host[:port]`, `https://*.example.com`, `http://localhost:*`, `chrome-extension://*`, `file://`, `null` or
/// `*`.
pub(crate) fn check_origin(origin: &str) -> Result<(), String> {
    if origin == "*" || origin == "null" {
        return Ok(());
    }
    if origin.eq_ignore_ascii_case("null") {
        return Err(format!("`{origin}` is not an origin; write `null`"));
    }
    let Some((scheme, host)) = origin
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
    else {
        let host = host_of(origin);
        let scheme = match is_local(host) {
            true => "http",
            false => "https",
        };
        return Err(format!(
            "`{origin}` is not an origin; write `{scheme}://{host}`, or `*` for every page"
        ));
    };
    let is_of_web = ["http", "https", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str());
    if host.is_empty() && !is_of_web {
        return Ok(()); // `file://`
    }
    if scheme.eq_ignore_ascii_case("file") {
        return Err(
            "files have no host; write `file://`, and `null` for browsers that send that"
                .to_owned(),
        );
    }
    let bare = host.split(['/', '?', '#']).next().unwrap_or_default();
    if bare != host {
        return Err(format!("an origin has no path; write `{scheme}://{bare}`"));
    }
    if host.contains('@') {
        return Err(format!(
            "an origin has no user; write `{scheme}://{}`",
            host.rsplit('@').next().unwrap_or_default()
        ));
    }
    let names = host.strip_suffix(":*").unwrap_or(host);
    if names == "*" {
        return Ok(());
    }
    let (is_wildcard, fixed) = match names.strip_prefix("*.") {
        Some(fixed) => (true, fixed),
        None => (false, names),
    };
    if fixed.contains('*') {
        let message = "a `*` in an origin stands for whole names at the start (`https://*.example.com`), for a port \
            (`http://localhost:*`), or for the whole host (`chrome-extension://*`)";
        return Err(message.to_owned());
    }
    match fixed.parse::<Authority>() {
        Ok(authority) if !authority.host().is_empty() => check_port(&authority),
        _ if is_wildcard => Err(format!("`{fixed}` is not a domain")),
        _ => Err(format!("`{host}` is not a host")),
    }
}

fn is_local(host: &str) -> bool {
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
}

/// `api.example.com`, `api.example.com:8443`, `*.example.com` or `*`.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    if host == "*" {
        return Ok(());
    }
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest);
    let bare = bare.split(['/', '?', '#']).next().unwrap_or_default();
    let bare = bare.rsplit('@').next().unwrap_or_default();
    if bare != host {
        return Err(format!("`{host}` is not a host; write `{bare}`"));
    }
    let fixed = host.strip_prefix("*.").unwrap_or(host);
    if fixed.contains('*') {
        let message = "a `*` in a host stands for whole names at the start: `*.example.com`; a host without a port \
            answers at every port";
        return Err(message.to_owned());
    }
    match fixed.parse::<Authority>() {
        Ok(authority) if !authority.host().is_empty() => check_port(&authority),
        _ => Err(format!(
            "`{host}` is not a host; it is written like `api.example.com` or `*.example.com`"
        )),
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// What is left when scheme and path are taken away.
fn host_of(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    match rest.split(['/', '?', '#']).next() {
        Some(host) if !host.is_empty() => host,
        _ => "example.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path() {
        for good in [
            "*",
            "https://a.example",
            "https://*.example.com",
            "http://localhost:3000",
            "https://[::1]:1",
            "tauri://localhost",
            "file://",
            "null",
            "http://localhost:*",
            "http://[::1]:*",
            "chrome-extension://*",
            "https://*.example.com:*",
            "app://-",
        ] {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        let message = |origin| check_origin(origin).unwrap_err();
        assert_eq!(
            message("https://a.example/"),
            "an origin has no path; write `https://a.example`"
        );
        assert_eq!(
            message("a.example"),
            "`a.example` is not an origin; write `https://a.example`, or `*` for every page"
        );
        assert!(message("https://a.*.example").contains("whole names at the start"));
        assert_eq!(
            message("localhost:*"),
            "`localhost:*` is not an origin; write `http://localhost:*`, or `*` for every page"
        );
        assert!(
            message("file:///index.html")
                .ends_with("write `file://`, and `null` for browsers that send that")
        );
        assert_eq!(message("Null"), "`Null` is not an origin; write `null`");
        assert_eq!(message("https://"), "`` is not a host");
        assert_eq!(message("https://a:x"), "`x` is not a port");
        assert_eq!(
            message("https://me@a"),
            "an origin has no user; write `https://a`"
        );
    }

    #[test]
    fn hosts_are_names_and_ports() {
        for good in [
            "*",
            "a.example",
            "*.example.com",
            "a.example:8443",
            "[::1]:1",
            "192.0.2.1",
        ] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        let message = |host| check_host(host).unwrap_err();
        for bad in ["https://a.example", "a.example/", "me@a.example"] {
            assert_eq!(
                message(bad),
                format!("`{bad}` is not a host; write `a.example`")
            );
        }
        assert!(message("a.*.example").contains("whole names at the start"));
        assert!(message("a.example:*").contains("answers at every port"));
        assert_eq!(message("a:x"), "`x` is not a port");
        assert!(message("").contains("it is written like"));
    }
}
