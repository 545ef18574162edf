//! How connections of a channel may end.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::facts::ChannelFacts;
use crate::schema::Operation;

/// The codes with which the gateway itself closes, and why. Functions and upstreams may close with others.
pub(super) fn of(facts: &ChannelFacts) -> Map<String, Value> {
    let too_big = match facts.limit("max_message_size") {
        Some(size) => format!("A message has over {size} bytes."),
        None => "A message is over the size limit.".to_owned(),
    };
    let mut found = Vec::from([
        (1002, "The client broke the WebSocket protocol."),
        (1007, "Text is not UTF-8."),
        (
            1008,
            "The client reads too slowly, or sends too many pings or unreadable messages.",
        ),
        (1009, &too_big),
        (1011, "An unexpected condition."),
        (1012, "The server restarts: connect again."),
    ]);
    if facts.limit("idle_timeout_ms").is_some() {
        found.push((1001, "The connection was idle for too long."));
    }
    if !facts.logins.is_empty() {
        found.push((4401, "The credentials have expired or were refused."));
    }
    if facts.logins.iter().any(|login| login.refuses_by_close) {
        found.extend([
            (
                1013,
                "Credentials cannot be checked now: connect again later.",
            ),
            (4403, "The credentials do not allow this."),
        ]);
    }
    found.extend(&facts.places.closes);
    let answers = facts.operations.iter().flat_map(Operation::answers);
    found.extend(answers.flat_map(|answers| &answers.closes));

    let mut codes = BTreeMap::<u16, Vec<&str>>::new();
    for (code, why) in found {
        let reasons = codes.entry(code).or_default();
        if !reasons.contains(&why) {
            reasons.push(why);
        }
    }
    codes
        .into_iter()
        .map(|(code, reasons)| (code.to_string(), json!(reasons.join(" "))))
        .collect()
}
