//! How connections of a channel may end.

use serde_json::{Map, Value, json};

use super::facts::ChannelFacts;

/// The codes with which the gateway itself closes. Functions and upstreams may close with others.
pub(super) fn of(facts: &ChannelFacts) -> Map<String, Value> {
    let size = facts
        .limits
        .iter()
        .find(|(name, _)| *name == "max_message_size");
    let too_big = match size {
        Some((_, size)) => format!("A message over {size} bytes."),
        None => "A message over the size limit.".to_owned(),
    };
    let mut codes = vec![
        (1001, "The connection was idle for too long."),
        (1002, "The client broke the WebSocket protocol."),
        (1007, "Text that is not UTF-8."),
        (
            1008,
            "The client reads too slowly, or sends too many pings or unreadable messages.",
        ),
        (1009, &too_big),
        (1011, "An unexpected condition, or an upstream was lost."),
        (1012, "The server restarts: connect again."),
        (1014, "An upstream cannot be reached or answers invalidly."),
    ];
    if !facts.security.is_empty() {
        codes.push((
            1013,
            "Credentials cannot be checked now: connect again later.",
        ));
        codes.push((4401, "The credentials have expired or were refused."));
        codes.push((4403, "The credentials do not allow this."));
    }
    let codes = codes.into_iter();
    codes
        .map(|(code, meaning)| (code.to_string(), json!(meaning)))
        .collect()
}
