//! Keys, as schemas.

use serde_json::{Value, json};

use super::{facts::ChannelFacts, shapes::escaped};
use crate::schema::Operation;

/// The schema of a key that leads to an operation.
pub(super) fn key_of(operation: &Operation, key: Option<&str>, facts: &ChannelFacts) -> Value {
    match (key, operation.prefix()) {
        (Some(key), _) => json!({ "const": key }),
        (None, Some(prefix)) => {
            json!({ "type": "string", "pattern": format!("^{}", escaped(prefix)) })
        }
        (None, None) => other_keys(facts),
    }
}

/// The keys that no route names. A guard may take any of them.
fn other_keys(facts: &ChannelFacts) -> Value {
    if facts.operations.iter().any(Operation::is_open) {
        return json!({ "type": "string" });
    }
    let named: Vec<_> = facts.operations.iter().flat_map(Operation::keys).collect();
    let prefixes = facts.operations.iter().filter_map(Operation::prefix);
    let patterns = prefixes.map(|prefix| json!({ "pattern": format!("^{}", escaped(prefix)) }));
    let named = (!named.is_empty()).then(|| json!({ "enum": named }));
    let taken: Vec<_> = named.into_iter().chain(patterns).collect();
    match taken.is_empty() {
        true => json!({ "type": "string" }),
        false => json!({ "type": "string", "not": { "anyOf": taken } }),
    }
}
