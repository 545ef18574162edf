//! The settings there are, and where each may stand.

use wasabi_rules::list;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Gateway,
    Channel,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A list of values with types of their own; the gateway's come before (around) the channel's.
    List,
    /// An expression of any type.
    Value,
    /// An expression for which a zero is a mistake.
    NotZero,
    /// A time, above zero.
    Duration,
}

pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    levels: &'static [Level],
}

const GATEWAY: &[Level] = &[Level::Gateway];
const CHANNEL: &[Level] = &[Level::Channel];
const BOTH: &[Level] = &[Level::Gateway, Level::Channel];

const fn known(name: &'static str, kind: Kind, levels: &'static [Level]) -> Known {
    Known { name, kind, levels }
}

const SETTINGS: &[Known] = &[
    known("state", Kind::Value, GATEWAY),
    known("http", Kind::List, BOTH),
    known("middleware", Kind::List, BOTH),
    known("hosts", Kind::Value, BOTH),
    known("origins", Kind::Value, BOTH),
    known("subprotocols", Kind::Value, BOTH),
    known("compression", Kind::Value, BOTH),
    known("parser", Kind::Value, BOTH),
    known("errors", Kind::Value, BOTH),
    known("on_connect", Kind::Value, BOTH),
    known("on_disconnect", Kind::Value, BOTH),
    known("registry", Kind::Value, CHANNEL),
    known("max_connections", Kind::NotZero, BOTH),
    known("concurrency", Kind::NotZero, BOTH),
    known("max_message_size", Kind::NotZero, BOTH),
    known("max_header_size", Kind::NotZero, BOTH),
    known("send_queue", Kind::NotZero, BOTH),
    known("send_buffer", Kind::NotZero, BOTH),
    known("idle_timeout", Kind::Duration, BOTH),
    known("ping", Kind::Duration, BOTH),
    known("pong_timeout", Kind::Duration, BOTH),
    known("send_timeout", Kind::Duration, BOTH),
    known("stream_idle_timeout", Kind::Duration, BOTH),
    known("open_timeout", Kind::Duration, BOTH),
    known("close_timeout", Kind::Duration, BOTH),
];

/// HTTP methods that have a section of their name.
pub(crate) const METHODS: &[&str] = &[
    "get", "post", "put", "patch", "delete", "head", "options", "any",
];

pub(crate) fn find(name: &str) -> Option<&'static Known> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The names of the settings of a level.
pub(crate) fn names(level: Level) -> impl Iterator<Item = &'static str> {
    let stands_there = move |setting: &&Known| setting.levels.contains(&level);
    SETTINGS
        .iter()
        .filter(stands_there)
        .map(|setting| setting.name)
}

/// The names of the sections that look like calls.
pub(crate) fn calls() -> impl Iterator<Item = &'static str> {
    ["channel", "mount"]
        .into_iter()
        .chain(METHODS.iter().copied())
}

impl Known {
    pub(crate) fn stands_in(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }
}

impl Level {
    /// How messages list what may stand on this level.
    pub(crate) fn describe(self) -> String {
        let (who, names) = match self {
            Self::Gateway => ("a gateway", list(names(self))),
            Self::Channel => ("a channel", list(names(self))),
        };
        format!("settings of {who}: {names}")
    }
}
