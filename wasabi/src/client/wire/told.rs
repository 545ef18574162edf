//! Which messages are of a group: those of [`Subscriptions`](crate::Subscriptions), as the gateway's document has them.

use serde_json::{Map, Value};

/// The group that a message is of. Messages of the application may have a member of this name as well.
pub(super) fn group(message: &Value) -> Option<&str> {
    let message = message.as_object()?;
    let group = message.get("group")?.as_str()?;
    (is_answer(message) || is_unasked(message)).then_some(group)
}

/// The document allows more members.
fn is_answer(message: &Map<String, Value>) -> bool {
    let has = |name, is: fn(&Value) -> bool| message.get(name).is_some_and(is);
    let follows = has("recovered", Value::is_boolean)
        && has("position", Value::is_string)
        && has("missed", Value::is_u64);
    let who = has("members", Value::is_array)
        && has("total", Value::is_u64)
        && has("complete", Value::is_boolean);
    follows || who || has("unfollowed", Value::is_boolean)
}

/// A message, a gap, or who has come and gone: with these members and no others.
fn is_unasked(message: &Map<String, Value>) -> bool {
    let others = message.iter().filter(|(name, _)| *name != "group");
    let mut others: Vec<_> = others.map(|(name, value)| (&**name, value)).collect();
    others.sort_unstable_by_key(|(name, _)| *name);
    match others[..] {
        [] => false,
        [("data", _), ("position", at)] => at.is_string(),
        [("base64", data), ("position", at)] => data.is_string() && at.is_string(),
        [("gap", is_gap)] => *is_gap == true,
        _ => others.iter().all(|(name, value)| match *name {
            "joined" | "left" => value.is_array(),
            "gone" => value.is_string(),
            "unsure" => **value == true,
            _ => false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_message_of_the_shape_that_the_document_has_is_of_a_group() {
        for told in [
            json!({ "group": "g", "recovered": true, "position": "5-1", "missed": 0, "new": 1 }),
            json!({ "group": "g", "unfollowed": false }),
            json!({ "group": "g", "members": [], "total": 0, "complete": true, "next": "1-2" }),
            json!({ "group": "g", "position": "5-1", "data": null }),
            json!({ "group": "g", "position": "5-1", "base64": "aGk=" }),
            json!({ "group": "g", "gap": true }),
            json!({ "group": "g", "joined": [{ "connection": "1-2" }], "left": ["1-3"] }),
            json!({ "group": "g", "gone": "1-" }),
            json!({ "group": "g", "unsure": true }),
        ] {
            assert_eq!(group(&told), Some("g"), "{told}");
        }
        for other in [
            json!({ "group": "g" }),
            json!({ "group": 1, "gap": true }),
            json!({ "group": "g", "position": 7, "type": "moved" }),
            json!({ "group": "g", "position": "left", "type": "moved" }),
            json!({ "group": "g", "position": 7, "data": 1 }),
            json!({ "group": "g", "position": "5-1", "data": 1, "base64": "aGk=" }),
            json!({ "group": "g", "position": "5-1" }),
            json!({ "group": "g", "gap": 3 }),
            json!({ "group": "g", "gap": true, "from": 1 }),
            json!({ "group": "g", "left": 3 }),
            json!({ "group": "g", "left": [], "right": [] }),
            json!({ "group": "g", "members": ["Bob"], "total": 1 }),
            json!({ "group": "g", "unfollowed": "Bob" }),
            json!(["g"]),
        ] {
            assert_eq!(group(&other), None, "{other}");
        }
    }
}
