//! Literals with a grammar of their own: URLs, origins, header names, networks, methods, close codes.

mod known;

use std::net::IpAddr;

use http::{HeaderName, Method, Uri, uri::Authority};
use proc_macro2::TokenStream;
use syn::{LitInt, LitStr};

pub(crate) use self::known::check_calls;
use crate::{
    diagnostics::{Diagnostics, distance, list},
    fragment::{elements, string},
};

fn check_text(
    literal: &LitStr,
    check: impl Fn(&str) -> Result<(), String>,
    diagnostics: &mut Diagnostics,
) {
    if let Err(message) = check(&literal.value()) {
        diagnostics.error(literal, message);
    }
}

/// Checks the string literals in a list in brackets.
pub(crate) fn check_list(
    tokens: &TokenStream,
    check: fn(&str) -> Result<(), String>,
    diagnostics: &mut Diagnostics,
) {
    for literal in elements(tokens)
        .unwrap_or_default()
        .iter()
        .filter_map(string)
    {
        check_text(&literal, check, diagnostics);
    }
}

fn check_url(url: &str, schemes: &[&str]) -> Result<(), String> {
    let expected = schemes
        .iter()
        .map(|scheme| format!("`{scheme}://`"))
        .collect::<Vec<_>>()
        .join(" or ");
    if !url.contains("://") {
        return Err(format!(
            "`{url}` is not a whole URL; it starts with {expected}"
        ));
    }
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("`{url}` is not a URL: {error}"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !schemes.contains(&scheme) {
        return Err(format!(
            "`{scheme}://` does not suit this backend; write {expected}"
        ));
    }
    let Some(authority) = uri
        .authority()
        .filter(|authority| !authority.host().is_empty())
    else {
        return Err(format!("`{url}` has no host"));
    };
    check_port(authority)
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

/// A token of RFC 9110, section 5.6.2.
pub(crate) fn check_subprotocol(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !name.is_empty() && name.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "`{name}` is not the name of a subprotocol; it is made of letters, digits, `-` and `.`, without white space"
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

fn check_header_name(name: &str) -> Result<(), String> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "`{name}` is not a header name; it is made of letters, digits and `-`"
        )),
    }
}

fn check_network(network: &str) -> Result<(), String> {
    if network == "unix:" {
        return Ok(()); // the peers of Unix sockets
    }
    let (address, prefix) = match network.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (network, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(format!(
            "`{network}` is not a network; write it like `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`"
        ));
    };
    let lengths = match ip {
        IpAddr::V4(_) => 0..=32,
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => 96..=128,
        IpAddr::V6(_) => 0..=128,
    };
    match prefix {
        Some(prefix) if !prefix.parse().is_ok_and(|bits: u8| lengths.contains(&bits)) => {
            let (shortest, longest) = lengths.into_inner();
            Err(format!(
                "`/{prefix}` is not a prefix of `{address}`; it is a number from {shortest} to {longest}"
            ))
        }
        _ => Ok(()),
    }
}

fn check_method(method: &str) -> Result<(), String> {
    const STANDARD: &[&str] = &[
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    let upper = method.to_ascii_uppercase();
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(format!(
            "`{method}` is not an HTTP method; these are: {}",
            list(STANDARD.iter().copied())
        ));
    }
    match STANDARD
        .iter()
        .find(|standard| distance(standard, &upper) <= 1)
    {
        Some(standard) if *standard != method => Err(format!(
            "`{method}` is not an HTTP method; did you mean `{standard}`?"
        )),
        _ => Ok(()),
    }
}

/// RFC 6901, without the pointer to the whole document.
fn check_pointer(pointer: &str) -> Result<(), String> {
    if !pointer.starts_with('/') {
        let dotted = pointer.trim_start_matches(['$', '.', '#']);
        return Err(format!(
            "`{pointer}` is not a JSON pointer; it starts with `/`: write `/{}`",
            dotted.replace('.', "/")
        ));
    }
    let mut after_tildes = pointer.split('~').skip(1);
    if !after_tildes.all(|rest| rest.starts_with(['0', '1'])) {
        return Err(format!(
            "`{pointer}` is not a JSON pointer; a `~` is written `~0`"
        ));
    }
    Ok(())
}

fn check_close_code(code: &LitInt) -> Result<(), String> {
    match code.base10_parse::<u64>() {
        Ok(reserved @ (1005 | 1006 | 1015)) => Err(format!(
            "the close code {reserved} is never sent: it tells of connections that ended without one"
        )),
        Ok(1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(()),
        _ => Err(format!(
            "{code} is not a close code; these are 1000 to 1003, 1007 to 1014 and 3000 to 4999, those from 4000 are for applications"
        )),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn mistakes(tokens: TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        check_calls(&tokens, &mut diagnostics);
        diagnostics.messages()
    }

    #[test]
    fn urls_need_a_host_and_the_scheme_of_their_backend() {
        assert!(mistakes(quote!(Http::post("http://localhost:8080/a?b=c"))).is_empty());
        assert!(mistakes(quote!(WebSocket::connect("wss://[::1]:9000"))).is_empty());
        assert!(mistakes(quote!(Http::post(&config.url))).is_empty());
        assert_eq!(
            mistakes(quote!(Http::post("ws://a/"))),
            ["`ws://` does not suit this backend; write `http://` or `https://`"]
        );
        assert_eq!(
            mistakes(quote!(wasabi::WebSocket::connect("http://a/"))),
            ["`http://` does not suit this backend; write `ws://` or `wss://`"]
        );
        assert_eq!(
            mistakes(quote!(Http::get("localhost:8080/a"))),
            ["`localhost:8080/a` is not a whole URL; it starts with `http://` or `https://`"]
        );
        assert_eq!(
            mistakes(quote!(Http::get("http://a:99999/"))),
            ["`99999` is not a port"]
        );
        assert_eq!(mistakes(quote!(Http::get("http://a b/"))).len(), 1);
        assert!(mistakes(quote!(Queue::nats("nats://a:4222,tls://b", "jobs"))).is_empty());
        assert_eq!(
            mistakes(quote!(Queue::new(Nats::new("nats://a,b:4222"), "jobs"))),
            ["`b:4222` is not a whole URL; it starts with `nats://` or `tls://`"]
        );
        assert_eq!(
            mistakes(quote!(Queue::amqp("http://a/", "jobs"))),
            ["`http://` does not suit this backend; write `amqp://` or `amqps://`"]
        );
        assert_eq!(
            mistakes(quote!(Queue::redis("localhost", "jobs"))),
            ["`localhost` is not a whole URL; it starts with `redis://`"]
        );
        assert_eq!(mistakes(quote!(Http::get("http:///a"))).len(), 1);
    }

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

    #[test]
    fn zeros_are_found_in_known_calls_only() {
        assert_eq!(
            mistakes(quote!(with(
                [Timeout::new(0s), Retry::exponential(0, 0ms)],
                Http::post("http://a/").timeout(0s)
            ))),
            [
                "zero makes no sense in `Timeout::new(..)`; write a value above zero",
                "zero makes no sense in `Retry::exponential(..)`; write a value above zero",
                "zero makes no sense in `Retry::exponential(..)`; write a value above zero",
                "zero makes no sense in `.timeout(..)`; write a value above zero",
            ]
        );
        assert!(mistakes(quote!(Mine::new(0))).is_empty());
    }

    #[test]
    fn json_pointers_start_with_a_slash() {
        assert!(mistakes(quote!(JsonKey::at("/a/0/b~1c").id("/~0"))).is_empty());
        assert_eq!(
            mistakes(quote!(JsonKey::at("$.header.topic").id("req_id"))),
            [
                "`$.header.topic` is not a JSON pointer; it starts with `/`: write `/header/topic`",
                "`req_id` is not a JSON pointer; it starts with `/`: write `/req_id`",
            ]
        );
        assert_eq!(
            mistakes(quote!(WebSocket::connect("ws://a").correlate("/a~b"))),
            ["`/a~b` is not a JSON pointer; a `~` is written `~0`"]
        );
    }

    #[test]
    fn names_and_numbers_are_what_they_claim() {
        assert_eq!(
            mistakes(quote!(Http::post("http://a").header("x y", v))).len(),
            1
        );
        assert_eq!(
            mistakes(quote!(http.forward_headers(["x-id", "x:id"]))).len(),
            1
        );
        assert_eq!(
            mistakes(quote!(ClientIp::trusting([
                "10.0.0.0/8",
                "::1",
                "10.0.0.0/33",
                "intranet"
            ])))
            .len(),
            2
        );
        assert_eq!(
            mistakes(quote!(Http::method(
                Method::from_bytes(b"POTS")?,
                "http://a"
            ))),
            ["`POTS` is not an HTTP method; did you mean `POST`?"]
        );
        assert_eq!(
            mistakes(quote!(Method::from_bytes(b"get"))),
            ["`get` is not an HTTP method; did you mean `GET`?"]
        );
        assert!(mistakes(quote!(Method::from_bytes(b"PROPFIND"))).is_empty());
        for (code, is_one) in [
            (1000, true),
            (4999, true),
            (999, false),
            (5000, false),
            (1005, false),
            (1006, false),
            (1015, false),
            (1012, true),
        ] {
            let code = proc_macro2::Literal::u16_unsuffixed(code);
            assert_eq!(
                mistakes(quote!(CloseCode::new(#code))).is_empty(),
                is_one,
                "{code}"
            );
        }
    }
}
