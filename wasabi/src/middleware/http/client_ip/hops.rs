//! The hops of a request, as named by proxies.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header::FORWARDED};

/// The hops of `X-Forwarded-For` from the right; `None` for one that cannot be parsed.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").into_iter().rev();
    lines.flat_map(|line| {
        let hops = line.as_bytes().rsplit(|byte| *byte == b',');
        hops.map(|hop| std::str::from_utf8(hop).ok().and_then(address))
    })
}

/// The hops of `Forwarded` (RFC 7239) from the right; `None` for one that cannot be parsed.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).into_iter().rev();
    lines.flat_map(|line| split_from_right(line.as_bytes(), b',').map(element))
}

/// The value of a header that occurs exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => HeaderValue::to_str(value).ok(),
        _ => None,
    }
}

/// Parses an address, with or without port; IPv6 with or without brackets.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip: Option<IpAddr> = text.parse().ok();
    let ip = ip.or_else(|| text.parse().ok().map(|addr: SocketAddr| addr.ip()));
    let ip = ip.or_else(|| bracketed().map(IpAddr::V6));
    ip.map(|ip| ip.to_canonical())
}

/// Parses an address followed by a port, IPv6 also without brackets.
pub(super) fn address_then_port(text: &str) -> Option<IpAddr> {
    let (ip, port) = text.trim().rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    address(ip)
}

/// The address in one element of `Forwarded`: `for=1.2.3.4;proto=https`.
fn element(element: &[u8]) -> Option<IpAddr> {
    address(parameter(element, "for")?)
}

/// The value of a parameter in a line of `Forwarded` with exactly one element.
pub(super) fn only_parameter<'a>(line: &'a [u8], name: &str) -> Option<&'a str> {
    let mut elements = split_from_right(line, b',');
    match (elements.next(), elements.next()) {
        (Some(element), None) => parameter(element, name),
        _ => None,
    }
}

/// The value of this parameter in one element of `Forwarded`, if the element can be parsed and has the parameter once.
fn parameter<'a>(element: &'a [u8], wanted: &str) -> Option<&'a str> {
    let mut found = None;
    for pair in split_from_right(element, b';') {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        let value = unquoted(value.trim())?;
        if name.contains('"') {
            return None;
        }
        if name.trim().eq_ignore_ascii_case(wanted) {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
    }
    found
}

/// Removes surrounding quotes. A quote elsewhere may be half of a pair whose other half a client has sent: `None`.
fn unquoted(value: &str) -> Option<&str> {
    let Some(rest) = value.strip_prefix('"') else {
        return (!value.contains('"')).then_some(value);
    };
    let inner = rest.strip_suffix('"')?;
    let escaped = |at| is_escaped(&inner.as_bytes()[..at]);
    let is_closed = !escaped(inner.len());
    let mut quotes = inner.match_indices('"');
    (is_closed && quotes.all(|(at, _)| escaped(at))).then_some(inner)
}

/// Splits a list whose members may be quoted, from the right: a trusted proxy wrote the right end, while a client may
/// have left a quote open on the left.
fn split_from_right(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut quoted = false;
        for (at, byte) in list.iter().enumerate().rev() {
            if *byte == b'"' && !is_escaped(&list[..at]) {
                quoted = !quoted;
            } else if *byte == separator && !quoted {
                rest = Some(&list[..at]);
                return Some(&list[at + 1..]);
            }
        }
        rest = None;
        Some(list)
    })
}

/// Whether the character after these bytes is escaped by a backslash.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}
