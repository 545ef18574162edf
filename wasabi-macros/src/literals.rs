//! Literals with a grammar of their own: URLs, origins, header names, networks, methods, close codes.

use http::{HeaderName, Method, Uri, uri::Authority};
use proc_macro2::TokenStream;
use syn::{LitByteStr, LitInt, LitStr};

use crate::{
    diagnostics::{Diagnostics, distance, list},
    fragment::{Call, calls, elements, is_zero, string},
};

/// What an argument must be, as far as a literal shows it.
enum Rule {
    Url(&'static [&'static str]),
    NotZero,
    Method,
    HeaderName,
    HeaderNames,
    Networks,
    CloseCode,
}

const HTTP: &[&str] = &["http", "https"];
const WEBSOCKET: &[&str] = &["ws", "wss"];

/// Functions with arguments that are checked: owner, function, position, rule.
const FUNCTIONS: &[(&str, &str, usize, Rule)] = &[
    ("Http", "get", 0, Rule::Url(HTTP)),
    ("Http", "post", 0, Rule::Url(HTTP)),
    ("Http", "put", 0, Rule::Url(HTTP)),
    ("Http", "patch", 0, Rule::Url(HTTP)),
    ("Http", "delete", 0, Rule::Url(HTTP)),
    ("Http", "method", 1, Rule::Url(HTTP)),
    ("HttpRequest", "get", 0, Rule::Url(HTTP)),
    ("HttpRequest", "post", 0, Rule::Url(HTTP)),
    ("HttpRequest", "put", 0, Rule::Url(HTTP)),
    ("HttpRequest", "patch", 0, Rule::Url(HTTP)),
    ("HttpRequest", "delete", 0, Rule::Url(HTTP)),
    ("HttpRequest", "method", 1, Rule::Url(HTTP)),
    ("Method", "from_bytes", 0, Rule::Method),
    ("WebSocket", "connect", 0, Rule::Url(WEBSOCKET)),
    ("Timeout", "new", 0, Rule::NotZero),
    ("Retry", "exponential", 0, Rule::NotZero),
    ("Retry", "exponential", 1, Rule::NotZero),
    ("Retry", "linear", 0, Rule::NotZero),
    ("Retry", "linear", 1, Rule::NotZero),
    ("Throttle", "new", 0, Rule::NotZero),
    ("RateLimit", "per_second", 0, Rule::NotZero),
    ("RateLimit", "per_minute", 0, Rule::NotZero),
    ("RateLimit", "per_hour", 0, Rule::NotZero),
    ("CircuitBreaker", "new", 0, Rule::NotZero),
    ("CircuitBreaker", "new", 1, Rule::NotZero),
    ("Cache", "new", 0, Rule::NotZero),
    ("ClientIp", "trusting", 0, Rule::Networks),
    ("ClientIp", "cloudflare", 0, Rule::Networks),
    ("ClientIp", "cloudfront", 0, Rule::Networks),
    ("CloseCode", "new", 0, Rule::CloseCode),
];

/// Methods with arguments that are checked. Without an owner they are checked on any value.
const METHODS: &[(Option<&str>, &str, usize, Rule)] = &[
    (None, "header", 0, Rule::HeaderName),
    (None, "forward_headers", 0, Rule::HeaderNames),
    (Some("Http"), "timeout", 0, Rule::NotZero),
    (Some("Http"), "concurrency", 0, Rule::NotZero),
    (Some("Http"), "max_response_size", 0, Rule::NotZero),
    (Some("WebSocket"), "timeout", 0, Rule::NotZero),
    (Some("Queue"), "timeout", 0, Rule::NotZero),
    (Some("Retry"), "max_delay", 0, Rule::NotZero),
    (Some("RateLimit"), "burst", 0, Rule::NotZero),
    (Some("RateLimit"), "max_keys", 0, Rule::NotZero),
    (Some("CircuitBreaker"), "out_of", 0, Rule::NotZero),
    (Some("CircuitBreaker"), "probes", 0, Rule::NotZero),
];

/// Checks the literal arguments of every known call in the tokens, at any depth.
pub(crate) fn check_calls(tokens: &TokenStream, diagnostics: &mut Diagnostics) {
    for call in calls(tokens) {
        for (_, rule) in rules(&call) {
            check_argument(&call, rule.0, rule.1, diagnostics);
        }
    }
}

fn rules(call: &Call) -> impl Iterator<Item = (&'static str, (usize, &'static Rule))> {
    let (name, owner, is_method) = (call.name.to_string(), call.owner.clone(), call.is_method);
    let methods = METHODS
        .iter()
        .map(|(owner, name, at, rule)| (true, *owner, *name, (*at, rule)));
    let functions = FUNCTIONS
        .iter()
        .map(|(owner, name, at, rule)| (false, Some(*owner), *name, (*at, rule)));
    methods
        .chain(functions)
        .filter(move |(method, of, known, _)| {
            *method == is_method && *known == name && (of.is_none() || *of == owner.as_deref())
        })
        .map(|(_, _, name, rule)| (name, rule))
}

fn check_argument(call: &Call, position: usize, rule: &Rule, diagnostics: &mut Diagnostics) {
    let Some(argument) = call.args.get(position) else {
        return;
    };
    let mut text = |check: &dyn Fn(&str) -> Result<(), String>| {
        if let Some(literal) = string(argument) {
            check_text(&literal, check, diagnostics);
        }
    };
    match rule {
        Rule::Url(schemes) => text(&|url| check_url(url, schemes)),
        Rule::Method => {
            if let Ok(literal) = syn::parse2::<LitByteStr>(argument.clone()) {
                let method = String::from_utf8_lossy(&literal.value()).into_owned();
                if let Err(message) = check_method(&method) {
                    diagnostics.error(literal, message);
                }
            }
        }
        Rule::HeaderName => text(&check_header_name),
        Rule::HeaderNames => check_list(argument, check_header_name, diagnostics),
        Rule::Networks => check_list(argument, check_network, diagnostics),
        Rule::NotZero if is_zero(argument) => {
            let (owner, name) = (call.owner.as_deref().unwrap_or_default(), &call.name);
            let call = if call.is_method {
                format!(".{name}(..)")
            } else {
                format!("{owner}::{name}(..)")
            };
            diagnostics.error(
                argument,
                format_args!("zero makes no sense in `{call}`; write a value above zero"),
            );
        }
        Rule::CloseCode => {
            if let Ok(code) = syn::parse2::<LitInt>(argument.clone())
                && let Err(message) = check_close_code(&code)
            {
                diagnostics.error(code, message);
            }
        }
        Rule::NotZero => {}
    }
}

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

/// `https://host[:port]`, `https://*.example.com` or `*`.
pub(crate) fn check_origin(origin: &str) -> Result<(), String> {
    if origin == "*" {
        return Ok(());
    }
    let Some((scheme, host)) = origin
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
    else {
        return Err(format!(
            "`{origin}` is not an origin; write `https://{}`, or `*` for every page",
            host_of(origin)
        ));
    };
    let bare = host.split(['/', '?', '#']).next().unwrap_or_default();
    if bare != host {
        return Err(format!("an origin has no path; write `{scheme}://{bare}`"));
    }
    let (is_wildcard, fixed) = match host.strip_prefix("*.") {
        Some(fixed) => (true, fixed),
        None => (false, host),
    };
    if fixed.contains('*') {
        let message =
            "a `*` in an origin stands for whole names at the start: `https://*.example.com`";
        return Err(message.to_owned());
    }
    if fixed.contains('@') {
        return Err(format!(
            "an origin has no user; write `{scheme}://{}`",
            host.rsplit('@').next().unwrap_or_default()
        ));
    }
    match fixed.parse::<Authority>() {
        Ok(authority) if !authority.host().is_empty() => check_port(&authority),
        _ if is_wildcard => Err(format!("`{fixed}` is not a domain")),
        _ => Err(format!("`{host}` is not a host")),
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
    let (address, prefix) = match network.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (network, None),
    };
    let Ok(ip) = address.parse::<std::net::IpAddr>() else {
        return Err(format!(
            "`{network}` is not a network; write it like `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`"
        ));
    };
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    match prefix {
        Some(prefix) if !prefix.parse::<u8>().is_ok_and(|bits| bits <= longest) => Err(format!(
            "`/{prefix}` is not a prefix of `{address}`; it is a number from 0 to {longest}"
        )),
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
        assert_eq!(message("https://"), "`` is not a host");
        assert_eq!(message("https://a:x"), "`x` is not a port");
        assert_eq!(
            message("https://me@a"),
            "an origin has no user; write `https://a`"
        );
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
