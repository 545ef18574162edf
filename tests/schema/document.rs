//! What a document says of messages.

use serde_json::Value;

/// The message of this name.
pub(crate) fn message<'d>(document: &'d Value, channel: &str, name: &str) -> &'d Value {
    &document["channels"][channel]["messages"][name]
}

/// The names of the messages that an operation may be answered with.
pub(crate) fn replies(document: &Value, operation: &str) -> Vec<String> {
    let messages = document["operations"][operation]["reply"]["messages"].as_array();
    let references = messages.into_iter().flatten();
    let names = references.map(|each| each["$ref"].as_str().unwrap_or_default());
    names
        .map(|reference| reference.rsplit('/').next().unwrap_or_default().to_owned())
        .collect()
}
