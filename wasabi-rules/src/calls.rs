//! The constructors and methods whose arguments have a rule, beside the settings of a channel.

use std::time::Duration;

use crate::{
    bounds::{above_zero, at_least, between, retry_budget},
    close_code::close_code,
    cluster::{cluster_name, group_prefix},
    header::{
        forwarded_header, header, method as http_method, queue_header, realm, upstream_header,
    },
    network::network,
    pointer::pointer,
    redis::redis_url,
    url::{schemes, url, urls},
};

/// An argument of a function or method of wasabi, and its rule.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The type.
    pub owner: &'static str,
    /// The name of the function or method.
    pub name: &'static str,
    /// Whether it is called on a value.
    pub is_method: bool,
    /// Which argument, counted from 0 without the receiver.
    pub position: usize,
    /// Whether it is a constant argument, as in `CloseCode::new::<4000>()`.
    pub is_const: bool,
    /// What the argument must be.
    pub rule: Rule,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A [`url`](crate::url()) with one of these schemes.
    Url(&'static [&'static str]),
    /// [`urls`](crate::urls) with these schemes.
    Urls(&'static [&'static str]),
    /// A [`redis_url`](crate::redis_url()).
    RedisUrl,
    /// A number [above zero](crate::above_zero).
    Count,
    /// A duration [above zero](crate::above_zero).
    Time,
    /// A duration of [so many milliseconds or more](crate::at_least).
    Millis(u64),
    /// A [`retry_budget`](crate::retry_budget).
    Budget,
    /// A number [between](crate::between) these two, both included.
    Between(u64, u64),
    /// An HTTP [`method`](crate::method()), as bytes.
    Method,
    /// A [`header`](crate::header()) that a request to an HTTP service may have.
    Header,
    /// An [`upstream_header`](crate::upstream_header).
    UpstreamHeader,
    /// A list of [forwarded headers](crate::forwarded_header).
    ForwardedHeaders,
    /// A [`queue_header`](crate::queue_header).
    QueueHeader,
    /// A [`realm`](crate::realm()).
    Realm,
    /// A [`cluster_name`](crate::cluster_name()).
    ClusterName,
    /// A [`group_prefix`](crate::group_prefix()).
    GroupPrefix,
    /// A list of [networks](crate::network()).
    Networks,
    /// A [`close_code`](crate::close_code()).
    CloseCode,
    /// A [`pointer`](crate::pointer()).
    Pointer,
}

/// An argument, or an element of one that is a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A string.
    Text(&'a str),
    /// A number; for a duration, one of seconds, or of milliseconds where the rule is in these.
    Number(u64),
    /// A number with a decimal point.
    Decimal(f32),
}

impl Call {
    /// Checks an argument, or an element of one that is a list. A value that the rule does not know is left to rustc.
    pub fn check(&self, value: Value<'_>) -> Result<(), String> {
        match (self.rule, value) {
            (Rule::Url(schemes), Value::Text(text)) => url(text, schemes).map(drop),
            (Rule::Urls(schemes), Value::Text(text)) => urls(text, schemes).map(drop),
            (Rule::RedisUrl, Value::Text(text)) => redis_url(text).map(drop),
            (Rule::Count | Rule::Time, Value::Number(number)) => {
                above_zero(&self.path(), number).map(drop)
            }
            (Rule::Millis(least), Value::Number(millis)) => {
                at_least(&self.path(), Duration::from_millis(millis), least).map(drop)
            }
            (Rule::Budget, Value::Decimal(share)) => retry_budget(share).map(drop),
            (Rule::Between(least, most), Value::Number(number)) => {
                between(&self.path(), number, least..=most).map(drop)
            }
            (Rule::Method, Value::Text(text)) => http_method(text).map(drop),
            (Rule::Header, Value::Text(text)) => header(text).map(drop),
            (Rule::UpstreamHeader, Value::Text(text)) => upstream_header(text).map(drop),
            (Rule::ForwardedHeaders, Value::Text(text)) => forwarded_header(text).map(drop),
            (Rule::QueueHeader, Value::Text(text)) => queue_header(text).map(drop),
            (Rule::Realm, Value::Text(text)) => realm(text).map(drop),
            (Rule::ClusterName, Value::Text(text)) => cluster_name(text).map(drop),
            (Rule::GroupPrefix, Value::Text(text)) => group_prefix(text).map(drop),
            (Rule::Networks, Value::Text(text)) => network(text).map(drop),
            (Rule::CloseCode, Value::Number(number)) => close_code(number).map(drop),
            (Rule::Pointer, Value::Text(text)) => pointer(text).map(drop),
            _ => Ok(()),
        }
    }

    /// `Http::post`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.owner, self.name)
    }
}

impl Rule {
    /// Whether the argument is a list, each element of which is checked.
    pub fn is_list(self) -> bool {
        matches!(self, Self::ForwardedHeaders | Self::Networks)
    }

    /// A value that the rule accepts, and one that it refuses.
    pub fn examples(self) -> [Value<'static>; 2] {
        match self {
            Self::Url(schemes) | Self::Urls(schemes) => {
                let accepted = match schemes.first() {
                    Some(&"http") => "http://127.0.0.1:9/",
                    Some(&"ws") => "ws://127.0.0.1:9/",
                    Some(&"redis") => "rediss://127.0.0.1:9/",
                    Some(&"amqp") => "amqps://127.0.0.1:9/",
                    _ => "nats://127.0.0.1:9",
                };
                [accepted, "ftp://127.0.0.1:9/"].map(Value::Text)
            }
            Self::RedisUrl => ["rediss://127.0.0.1:9/", "redis+sentinel://a"].map(Value::Text),
            Self::Count | Self::Time => [1, 0].map(Value::Number),
            Self::Millis(least) => [least, least - 1].map(Value::Number),
            Self::Budget => [0.5, -0.5].map(Value::Decimal),
            Self::Between(least, most) => [least, most + 1].map(Value::Number),
            Self::Method => ["PROPFIND", "POTS"].map(Value::Text),
            Self::Header => ["x-tenant", "transfer-encoding"].map(Value::Text),
            Self::UpstreamHeader => ["x-tenant", "host"].map(Value::Text),
            Self::ForwardedHeaders => ["x-tenant", "forwarded"].map(Value::Text),
            Self::QueueHeader => ["x-tenant", "reply_to"].map(Value::Text),
            Self::Realm => ["staff", "caf\u{e9}"].map(Value::Text),
            Self::ClusterName => ["chat", ""].map(Value::Text),
            Self::GroupPrefix => ["room:", ""].map(Value::Text),
            Self::Networks => ["10.0.0.0/8", "10.0.0.0/33"].map(Value::Text),
            Self::CloseCode => [4000, 1006].map(Value::Number),
            Self::Pointer => ["/action", "action"].map(Value::Text),
        }
    }

    /// The value as a Rust expression.
    pub fn source(self, value: Value<'_>) -> String {
        match (self, value) {
            (Self::Method, Value::Text(text)) => format!("b{text:?}"),
            (rule, Value::Text(text)) if rule.is_list() => format!("[{text:?}]"),
            (_, Value::Text(text)) => format!("{text:?}"),
            (Self::Millis(_), Value::Number(millis)) => format!("Duration::from_millis({millis})"),
            (_, Value::Decimal(number)) => format!("{number:?}"),
            (Self::Time, Value::Number(seconds)) => format!("Duration::from_secs({seconds})"),
            (_, Value::Number(number)) => number.to_string(),
        }
    }
}

const fn function(owner: &'static str, name: &'static str, position: usize, rule: Rule) -> Call {
    Call {
        owner,
        name,
        is_method: false,
        position,
        is_const: false,
        rule,
    }
}

const fn constant(owner: &'static str, name: &'static str, rule: Rule) -> Call {
    Call {
        is_const: true,
        ..function(owner, name, 0, rule)
    }
}

const fn method(owner: &'static str, name: &'static str, rule: Rule) -> Call {
    Call {
        owner,
        name,
        is_method: true,
        position: 0,
        is_const: false,
        rule,
    }
}

const HTTP: Rule = Rule::Url(schemes::HTTP);
const WEBSOCKET: Rule = Rule::Url(schemes::WEBSOCKET);
const REDIS: Rule = Rule::Url(schemes::REDIS);
const AMQP: Rule = Rule::Url(schemes::AMQP);
const NATS: Rule = Rule::Urls(schemes::NATS);

/// Every argument with a rule.
pub const CALLS: &[Call] = &[
    function("Http", "get", 0, HTTP),
    function("Http", "post", 0, HTTP),
    function("Http", "put", 0, HTTP),
    function("Http", "patch", 0, HTTP),
    function("Http", "delete", 0, HTTP),
    function("Http", "method", 1, HTTP),
    function("Method", "from_bytes", 0, Rule::Method),
    method("Http", "header", Rule::Header),
    method("Http", "header_with", Rule::Header),
    method("Http", "forward_headers", Rule::ForwardedHeaders),
    method("Http", "timeout", Rule::Time),
    method("Http", "concurrency", Rule::Count),
    method("Http", "max_reply_size", Rule::Count),
    method("Http", "idle_timeout", Rule::Time),
    method("Http", "max_connection_age", Rule::Time),
    function("HttpRequest", "get", 0, HTTP),
    function("HttpRequest", "post", 0, HTTP),
    function("HttpRequest", "put", 0, HTTP),
    function("HttpRequest", "patch", 0, HTTP),
    function("HttpRequest", "delete", 0, HTTP),
    function("HttpRequest", "method", 1, HTTP),
    method("HttpRequest", "header", Rule::UpstreamHeader),
    function("WebSocket", "connect", 0, WEBSOCKET),
    method("WebSocket", "header", Rule::UpstreamHeader),
    method("WebSocket", "header_with", Rule::UpstreamHeader),
    method("WebSocket", "forward_headers", Rule::ForwardedHeaders),
    method("WebSocket", "require_headers", Rule::ForwardedHeaders),
    method("WebSocket", "correlate", Rule::Pointer),
    method("WebSocket", "connect_timeout", Rule::Time),
    method("WebSocket", "send_timeout", Rule::Time),
    method("WebSocket", "ping", Rule::Time),
    method("WebSocket", "max_connection_age", Rule::Time),
    method("WebSocket", "pong_timeout", Rule::Time),
    method("WebSocket", "max_message_size", Rule::Count),
    function("Backoff", "exponential", 0, Rule::Time),
    function("Backoff", "constant", 0, Rule::Time),
    method("Backoff", "max_pause", Rule::Time),
    method("Queue", "header", Rule::QueueHeader),
    method("Queue", "header_with", Rule::QueueHeader),
    method("Queue", "timeout", Rule::Time),
    method("Queue", "publish_timeout", Rule::Time),
    method("Queue", "max_pending", Rule::Count),
    method("Queue", "max_reply_size", Rule::Count),
    function("Memory", "with_capacity", 0, Rule::Count),
    function("Queue", "redis", 0, REDIS),
    function("Redis", "new", 0, Rule::RedisUrl),
    method("Redis", "max_len", Rule::Count),
    function("Queue", "amqp", 0, AMQP),
    function("Amqp", "new", 0, AMQP),
    function("Queue", "nats", 0, NATS),
    function("Nats", "new", 0, NATS),
    function("Cluster", "nats", 0, NATS),
    function("Cluster", "redis", 0, Rule::RedisUrl),
    method("Cluster", "name", Rule::ClusterName),
    function("Kept", "prefix", 0, Rule::GroupPrefix),
    method("Kept", "size", Rule::Between(1, 100_000)),
    method("Kept", "ttl", Rule::Millis(1000)),
    method("Subscriptions", "max_groups", Rule::Count),
    method("Balance", "failures", Rule::Count),
    method("Balance", "pause", Rule::Time),
    method("HealthCheck", "every", Rule::Time),
    method("HealthCheck", "timeout", Rule::Time),
    method("HealthCheck", "rise", Rule::Count),
    method("HealthCheck", "fall", Rule::Count),
    function("Timeout", "new", 0, Rule::Time),
    method("RateLimit", "max_keys", Rule::Count),
    method("Retry", "budget", Rule::Budget),
    function("CircuitBreaker", "new", 0, Rule::Count),
    function("CircuitBreaker", "new", 1, Rule::Time),
    method("CircuitBreaker", "out_of", Rule::Between(1, 1_000_000)),
    method("CircuitBreaker", "probes", Rule::Count),
    function("Cache", "new", 0, Rule::Time),
    method("Cache", "max_entries", Rule::Count),
    method("Cache", "max_bytes", Rule::Count),
    method("LimitClients", "connections", Rule::Count),
    method("LimitClients", "handshakes_per_second", Rule::Count),
    method("LimitClients", "messages_per_second", Rule::Count),
    method("LimitClients", "max_clients", Rule::Count),
    method("BasicAuth", "realm", Rule::Realm),
    method("BasicAuth", "hash_threads", Rule::Count),
    method("BasicAuth", "hash_queue", Rule::Count),
    function("Jwks", "new", 0, HTTP),
    method("Jwks", "refresh_every", Rule::Time),
    method("Jwks", "ask_every", Rule::Millis(100)),
    method("Jwks", "timeout", Rule::Time),
    function("ClientIp", "trusting", 0, Rule::Networks),
    function("ClientIp", "cloudflare", 0, Rule::Networks),
    function("ClientIp", "cloudfront", 0, Rule::Networks),
    method("Compression", "level", Rule::Between(1, 9)),
    method("Compression", "context_takeover", Rule::Between(9, 15)),
    constant("CloseCode", "new", Rule::CloseCode),
    function("JsonKey", "at", 0, Rule::Pointer),
    method("JsonKey", "id", Rule::Pointer),
    method("JsonRpc", "max_batch", Rule::Count),
    method("GraphqlWs", "init_timeout", Rule::Time),
    function("ErrorFormat", "json_id_at", 0, Rule::Pointer),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_accepts_one_of_its_examples_and_refuses_the_other() {
        for call in CALLS {
            let [accepted, refused] = call.rule.examples();
            assert_eq!(call.check(accepted), Ok(()), "{}", call.path());
            assert!(call.check(refused).is_err(), "{}", call.path());
        }
    }

    #[test]
    fn no_argument_has_two_rules() {
        for (at, call) in CALLS.iter().enumerate() {
            let same = |other: &&Call| {
                (other.path(), other.is_method, other.position)
                    == (call.path(), call.is_method, call.position)
            };
            assert_eq!(
                CALLS[..at].iter().find(same).map(Call::path),
                None,
                "{}",
                call.path()
            );
        }
    }
}
