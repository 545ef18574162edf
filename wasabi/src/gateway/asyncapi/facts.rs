//! What is known of a channel for its document.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    ErrorFormat, Kept,
    channel::{Declared, Sent, of_groups},
    schema::{Answers, Codes, Form, Login, Operation, Places},
};

/// What is known of a channel.
#[derive(Debug, Clone)]
pub(crate) struct ChannelFacts {
    pub(crate) path: String,
    pub(crate) docs: &'static str,
    pub(crate) http: &'static [&'static str],
    pub(crate) operations: Vec<Operation>,
    pub(crate) places: Places,
    pub(crate) errors: ErrorFormat,
    /// Names and values of settings that concern clients.
    pub(crate) limits: Vec<(&'static str, u64)>,
    pub(crate) subprotocols: Vec<String>,
    /// What the declaration says, and then what the gateway itself writes to members of kept groups.
    pub(crate) sends: Vec<Sent>,
    /// How many of them are of the declaration.
    pub(crate) declared_sends: usize,
    /// Whether messages of kept groups tell their group and position, all of them.
    pub(crate) has_envelopes: bool,
    pub(crate) logins: Vec<Login>,
}

impl ChannelFacts {
    /// All but the operations.
    pub(crate) fn of(declared: &Declared, places: Places, errors: ErrorFormat) -> Self {
        let settings = &declared.settings;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let number = |count: usize| count as u64;
        let limits = [
            ("max_message_size", Some(number(settings.max_message_size))),
            ("concurrency", Some(number(settings.concurrency))),
            ("max_connections", settings.max_connections.map(number)),
            ("idle_timeout_ms", settings.idle_timeout.map(ms)),
            ("ping_ms", settings.ping.map(ms)),
        ];
        let limits = limits
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        Self {
            path: declared.path.clone(),
            docs: declared.info.docs,
            http: declared.info.http,
            operations: Vec::new(),
            places,
            errors,
            limits: limits.collect(),
            subprotocols: declared.subprotocols.clone(),
            sends: [declared.sends.clone(), of_groups(&declared.kept)].concat(),
            declared_sends: declared.sends.len(),
            has_envelopes: !declared.kept.is_empty()
                && declared.kept.iter().all(Kept::is_enveloped),
            logins: declared.logins.clone(),
        }
    }

    /// The value of a limit.
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        let mut limits = self.limits.iter();
        limits
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    }

    /// Under another path.
    pub(crate) fn at(self, path: impl Fn(&str) -> String) -> Self {
        Self {
            path: path(&self.path),
            ..self
        }
    }
}

/// What an operation is called.
pub(super) fn name(operation: &Operation) -> String {
    match (operation.prefix(), operation.keys(), operation.route()) {
        (Some(prefix), ..) => format!("{prefix}any"),
        (None, [first, ..], _) if !operation.is_open() => first.clone(),
        (None, _, "") => "message".to_owned(),
        (None, _, route) => route.to_owned(),
    }
}

/// Whether requests end here because nothing answers them.
pub(in crate::gateway) fn is_refusal(operation: &Operation) -> bool {
    operation.keys().is_empty()
        && operation.prefix().is_none()
        && operation
            .answers()
            .iter()
            .all(|answers| answers.codes == Codes::of(&["no_route"]))
}

/// What is not known of a target without types: of some, how they answer is known.
pub(in crate::gateway) fn unknown(answers: &Answers) -> &'static str {
    match answers.output.form {
        Form::Unknown => "takes and answers",
        Form::Json | Form::Text | Form::Binary => "takes",
    }
}

/// What a backend is, without the addresses of upstreams, which concern nobody outside.
pub(in crate::gateway) fn target(answers: &Answers) -> &str {
    answers.target.split('(').next().unwrap_or_default()
}

pub(super) fn codes(codes: &Codes) -> Value {
    json!({ "known": codes.known().collect::<Vec<_>>(), "open": codes.is_open() })
}
