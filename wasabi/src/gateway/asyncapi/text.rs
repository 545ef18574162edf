//! A document as text, the same whatever map serde_json has.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

pub(super) fn json(document: &Value) -> String {
    // A value has only strings as keys, and writing into a string does not fail.
    let mut text = serde_json::to_string_pretty(&Sorted(document)).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn yaml(document: &Value) -> String {
    serde_saphyr::to_string(&Sorted(document)).unwrap_or_default()
}

/// What comes first in an object. The rest is in the order of the alphabet.
const FIRST: &[&str] = &[
    "asyncapi",
    "info",
    "title",
    "name",
    "address",
    "action",
    "host",
    "method",
    "summary",
    "description",
    "servers",
    "type",
    "channel",
    "channels",
    "operations",
];

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let rank = |key: &str| {
                    FIRST
                        .iter()
                        .position(|first| *first == key)
                        .unwrap_or(FIRST.len())
                };
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| (rank(key), key.as_str()));
                let mut written = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    written.serialize_entry(key, &Sorted(value))?;
                }
                written.end()
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}
