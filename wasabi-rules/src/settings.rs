//! The settings of gateways and channels: names, levels and rules.

use crate::{
    bounds::setting_above_zero,
    calls::Value,
    header::subprotocol,
    host::{host, hosts_count},
    origin::origin,
};

/// A setting: `name = value` in `gateway!(..)` or `channel(..)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name, which is also that of the method of `Channel`.
    pub name: &'static str,
    /// Where it may be set.
    pub level: Level,
    /// What its value is.
    pub kind: Kind,
}

/// Where a setting may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In `gateway!(..)`.
    Gateway,
    /// In `channel(..)`.
    Channel,
    /// In both; the gateway's value is the default of its channels.
    Both,
}

/// What the value of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The state of the gateway.
    State,
    /// The cluster of the gateway, which is no default of its channels.
    Cluster,
    /// A list of HTTP middleware; the gateway's is around the channel's.
    Http,
    /// A list of request middleware; the gateway's is around the channel's.
    Middleware,
    /// A list of sets of routes.
    Routes,
    /// A list of [hosts](crate::host()).
    Hosts,
    /// A list of [origins](crate::origin()).
    Origins,
    /// A list of [subprotocols](crate::subprotocol()).
    Subprotocols,
    /// A number [above zero](crate::setting_above_zero).
    Count,
    /// A duration [above zero](crate::setting_above_zero).
    Time,
    /// A request parser, or a closure that is one.
    Parser,
    /// A protocol, which takes the place of a parser and of a format of error replies.
    Protocol,
    /// A function that is called when a connection opens or closes.
    Hook,
    /// A format of error replies.
    Errors,
    /// A value that its own type checks.
    Other,
}

const fn setting(name: &'static str, level: Level, kind: Kind) -> Setting {
    Setting { name, level, kind }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting("state", Level::Gateway, Kind::State),
    setting("cluster", Level::Gateway, Kind::Cluster),
    setting("config", Level::Both, Kind::Other),
    setting("http", Level::Both, Kind::Http),
    setting("middleware", Level::Both, Kind::Middleware),
    setting("routes", Level::Channel, Kind::Routes),
    setting("hosts", Level::Both, Kind::Hosts),
    setting("origins", Level::Both, Kind::Origins),
    setting("subprotocols", Level::Both, Kind::Subprotocols),
    setting("compression", Level::Both, Kind::Other),
    setting("parser", Level::Both, Kind::Parser),
    setting("protocol", Level::Both, Kind::Protocol),
    setting("errors", Level::Both, Kind::Errors),
    setting("on_connect", Level::Both, Kind::Hook),
    setting("on_disconnect", Level::Both, Kind::Hook),
    setting("registry", Level::Channel, Kind::Other),
    setting("user", Level::Channel, Kind::Other),
    setting("groups", Level::Channel, Kind::Other),
    setting("sends", Level::Channel, Kind::Other),
    setting("max_connections", Level::Both, Kind::Count),
    setting("concurrency", Level::Both, Kind::Count),
    setting("max_message_size", Level::Both, Kind::Count),
    setting("max_header_size", Level::Both, Kind::Count),
    setting("max_waiting_messages", Level::Both, Kind::Count),
    setting("max_waiting_bytes", Level::Both, Kind::Count),
    setting("idle_timeout", Level::Both, Kind::Time),
    setting("ping", Level::Both, Kind::Time),
    setting("pong_timeout", Level::Both, Kind::Time),
    setting("send_timeout", Level::Both, Kind::Time),
    setting("stream_idle_timeout", Level::Both, Kind::Time),
    setting("open_timeout", Level::Both, Kind::Time),
    setting("close_timeout", Level::Both, Kind::Time),
];

impl Setting {
    /// The setting of this name.
    pub fn find(name: &str) -> Option<Self> {
        SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .copied()
    }

    /// Whether a channel that sets it inherits the gateway's as well: it sets several values, one by one.
    pub fn is_layered(self) -> bool {
        self.name == "config"
    }

    /// The settings that this one takes the place of: a channel that sets it does not inherit them.
    pub fn replaces(self) -> &'static [&'static str] {
        match self.name {
            "parser" => &["protocol"],
            "protocol" => &["parser", "errors"],
            _ => &[],
        }
    }

    /// Checks how many elements a literal list has.
    pub fn check_count(self, count: usize) -> Result<(), String> {
        match self.kind {
            Kind::Hosts => hosts_count(count).map(drop),
            _ => Ok(()),
        }
    }

    /// Checks a literal value, or an element of one that is a list. A value that the rule does not know is left to rustc.
    pub fn check(self, value: Value<'_>) -> Result<(), String> {
        match (self.kind, value) {
            (Kind::Hosts, Value::Text(text)) => host(text).map(drop),
            (Kind::Origins, Value::Text(text)) => origin(text).map(drop),
            (Kind::Subprotocols, Value::Text(text)) => subprotocol(text).map(drop),
            (Kind::Count | Kind::Time, Value::Number(number)) => {
                setting_above_zero(self.name, number).map(drop)
            }
            _ => Ok(()),
        }
    }
}

impl Kind {
    /// A value that [`Setting::check`] accepts, and one that it refuses; `None` if it refuses none.
    pub fn examples(self) -> Option<[Value<'static>; 2]> {
        match self {
            Self::Hosts => Some(["*.example.com", "https://example.com"].map(Value::Text)),
            Self::Origins => Some(["https://*.example.com", "example.com"].map(Value::Text)),
            Self::Subprotocols => Some(["chat.v1", "chat v1"].map(Value::Text)),
            Self::Count | Self::Time => Some([1, 0].map(Value::Number)),
            _ => None,
        }
    }

    /// The value as a Rust expression.
    pub fn source(self, value: Value<'_>) -> String {
        match (self, value) {
            (_, Value::Text(text)) => format!("[{text:?}]"),
            (Self::Time, Value::Number(seconds)) => format!("Duration::from_secs({seconds})"),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Decimal(number)) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_accepts_one_of_its_examples_and_refuses_the_other() {
        for setting in SETTINGS {
            if let Some([accepted, refused]) = setting.kind.examples() {
                assert_eq!(setting.check(accepted), Ok(()), "{}", setting.name);
                assert!(setting.check(refused).is_err(), "{}", setting.name);
            }
        }
    }

    #[test]
    fn no_name_is_that_of_two_settings() {
        for setting in SETTINGS {
            assert_eq!(Setting::find(setting.name), Some(*setting));
        }
    }
}
