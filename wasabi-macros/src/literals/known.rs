//! Calls whose literal arguments are checked.

use proc_macro2::TokenStream;
use syn::{LitByteStr, LitInt};

use super::{
    check_close_code, check_header_name, check_list, check_method, check_network, check_pointer,
    check_text, check_url,
};
use crate::{
    diagnostics::Diagnostics,
    fragment::{Call, calls, is_zero, string},
};

/// What an argument must be, as far as a literal shows it.
enum Rule {
    Url(&'static [&'static str]),
    /// Several, separated by commas.
    Urls(&'static [&'static str]),
    NotZero,
    /// A number from the first to the second.
    Between(u8, u8),
    Method,
    HeaderName,
    HeaderNames,
    Networks,
    CloseCode,
    /// A JSON pointer to something inside of a document.
    Pointer,
}

const HTTP: &[&str] = &["http", "https"];
const WEBSOCKET: &[&str] = &["ws", "wss"];
const REDIS: &[&str] = &["redis"];
const AMQP: &[&str] = &["amqp", "amqps"];
const NATS: &[&str] = &["nats", "tls"];

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
    ("Jwks", "new", 0, Rule::Url(HTTP)),
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
    ("Reconnect", "exponential", 0, Rule::NotZero),
    ("Reconnect", "exponential", 1, Rule::NotZero),
    ("Reconnect", "constant", 0, Rule::NotZero),
    ("Queue", "redis", 0, Rule::Url(REDIS)),
    ("Redis", "new", 0, Rule::Url(REDIS)),
    ("Queue", "amqp", 0, Rule::Url(AMQP)),
    ("Amqp", "new", 0, Rule::Url(AMQP)),
    ("Queue", "nats", 0, Rule::Urls(NATS)),
    ("Nats", "new", 0, Rule::Urls(NATS)),
    ("ClientIp", "trusting", 0, Rule::Networks),
    ("ClientIp", "cloudflare", 0, Rule::Networks),
    ("ClientIp", "cloudfront", 0, Rule::Networks),
    ("CloseCode", "new", 0, Rule::CloseCode),
    ("JsonKey", "at", 0, Rule::Pointer),
    ("ErrorFormat", "json_id_at", 0, Rule::Pointer),
];

/// Methods with arguments that are checked. Without an owner they are checked on any value.
const METHODS: &[(Option<&str>, &str, usize, Rule)] = &[
    (None, "header", 0, Rule::HeaderName),
    (None, "header_with", 0, Rule::HeaderName),
    (None, "forward_headers", 0, Rule::HeaderNames),
    (None, "require_headers", 0, Rule::HeaderNames),
    (Some("JsonKey"), "id", 0, Rule::Pointer),
    (Some("WebSocket"), "correlate", 0, Rule::Pointer),
    (Some("Http"), "timeout", 0, Rule::NotZero),
    (Some("Http"), "concurrency", 0, Rule::NotZero),
    (Some("Http"), "idle_timeout", 0, Rule::NotZero),
    (Some("Http"), "max_connection_age", 0, Rule::NotZero),
    (Some("Http"), "max_response_size", 0, Rule::NotZero),
    (Some("Jwks"), "refresh_every", 0, Rule::NotZero),
    (Some("Jwks"), "ask_every", 0, Rule::NotZero),
    (Some("Jwks"), "timeout", 0, Rule::NotZero),
    (Some("WebSocket"), "timeout", 0, Rule::NotZero),
    (Some("WebSocket"), "connect_timeout", 0, Rule::NotZero),
    (Some("WebSocket"), "send_timeout", 0, Rule::NotZero),
    (Some("WebSocket"), "ping", 0, Rule::NotZero),
    (Some("WebSocket"), "pong_timeout", 0, Rule::NotZero),
    (Some("WebSocket"), "max_connection_age", 0, Rule::NotZero),
    (Some("WebSocket"), "max_message_size", 0, Rule::NotZero),
    (Some("WebSocket"), "read_buffer_size", 0, Rule::NotZero),
    (Some("Reconnect"), "attempts", 0, Rule::NotZero),
    (Some("Queue"), "timeout", 0, Rule::NotZero),
    (Some("Queue"), "publish_timeout", 0, Rule::NotZero),
    (Some("Queue"), "max_pending", 0, Rule::NotZero),
    (Some("Queue"), "max_reply_size", 0, Rule::NotZero),
    (Some("Redis"), "max_len", 0, Rule::NotZero),
    (Some("Cache"), "max_entries", 0, Rule::NotZero),
    (Some("Cache"), "max_bytes", 0, Rule::NotZero),
    (Some("Balance"), "failures", 0, Rule::NotZero),
    (Some("Balance"), "pause", 0, Rule::NotZero),
    (Some("HealthCheck"), "every", 0, Rule::NotZero),
    (Some("HealthCheck"), "timeout", 0, Rule::NotZero),
    (Some("HealthCheck"), "rise", 0, Rule::NotZero),
    (Some("HealthCheck"), "fall", 0, Rule::NotZero),
    (Some("Retry"), "max_delay", 0, Rule::NotZero),
    (Some("RateLimit"), "burst", 0, Rule::NotZero),
    (Some("RateLimit"), "max_keys", 0, Rule::NotZero),
    (Some("CircuitBreaker"), "out_of", 0, Rule::NotZero),
    (Some("CircuitBreaker"), "probes", 0, Rule::NotZero),
    (Some("LimitClients"), "connections", 0, Rule::NotZero),
    (
        Some("LimitClients"),
        "handshakes_per_second",
        0,
        Rule::NotZero,
    ),
    (
        Some("LimitClients"),
        "messages_per_second",
        0,
        Rule::NotZero,
    ),
    (Some("LimitClients"), "max_clients", 0, Rule::NotZero),
    (Some("BasicAuth"), "hash_threads", 0, Rule::NotZero),
    (Some("BasicAuth"), "hash_queue", 0, Rule::NotZero),
    (Some("Compression"), "level", 0, Rule::Between(1, 9)),
    (
        Some("Compression"),
        "context_takeover",
        0,
        Rule::Between(9, 15),
    ),
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
        Rule::Urls(schemes) => {
            text(&|urls| urls.split(',').try_for_each(|url| check_url(url, schemes)));
        }
        Rule::Method => {
            if let Ok(literal) = syn::parse2::<LitByteStr>(argument.clone()) {
                let method = String::from_utf8_lossy(&literal.value()).into_owned();
                if let Err(message) = check_method(&method) {
                    diagnostics.error(literal, message);
                }
            }
        }
        Rule::Pointer => text(&check_pointer),
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
        Rule::Between(least, most) => {
            if let Ok(number) = syn::parse2::<LitInt>(argument.clone())
                && !number
                    .base10_parse::<u8>()
                    .is_ok_and(|number| (*least..=*most).contains(&number))
            {
                let name = &call.name;
                diagnostics.error(
                    number,
                    format_args!("`.{name}(..)` takes a number from {least} to {most}"),
                );
            }
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
