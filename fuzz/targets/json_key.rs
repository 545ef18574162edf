//! A line with the pointer to the key, a line with the pointer to the id, and a message: what `JsonKey` finds is what
//! serde_json finds, and nothing in what is not JSON.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use wasabi::JsonKey;

/// The tokens of a JSON pointer (RFC 6901), if it is one and not empty.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    let tokens = pointer.strip_prefix('/')?.split('/');
    let is_escaped = |token: &str| {
        token
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']))
    };
    tokens
        .map(|token| is_escaped(token).then(|| token.replace("~1", "/").replace("~0", "~")))
        .collect()
}

/// The value at a pointer as it is written; `Err` when a name on the way is no text.
fn find<'t>(text: &'t str, tokens: &[String]) -> Result<Option<&'t str>, ()> {
    let Some((token, rest)) = tokens.split_first() else {
        return Ok(Some(text));
    };
    let value: Option<&RawValue> = match text.as_bytes() {
        [b'{', ..] => {
            let mut members: HashMap<String, &RawValue> =
                serde_json::from_str(text).map_err(drop)?;
            members.remove(token)
        }
        [b'[', ..] => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(drop)?;
            let is_index = token == "0" || !token.starts_with(['0', '+']);
            let index = token.parse::<usize>().ok().filter(|_| is_index);
            index.and_then(|index| elements.get(index).copied())
        }
        _ => None,
    };
    value.map_or(Ok(None), |value| find(value.get(), rest))
}

/// How deep values are nested in text that is JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fuzz_target!(|data: &str| {
    let mut lines = data.splitn(3, '\n');
    let (Some(key), Some(id), Some(text)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let (Some(key_tokens), Some(id_tokens)) = (tokens(key), tokens(id)) else {
        return;
    };
    let found = wasabi::fuzzing::key_and_id(&JsonKey::at(key).id(id), text);
    if serde_json::from_str::<IgnoredAny>(text).is_err() || depth(text) > 128 {
        assert!(found.is_none(), "not JSON");
        return;
    }
    let (found_key, found_id) = found.expect("JSON");
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if let Ok(key) = find(text, &key_tokens) {
        let key = key.and_then(|key| match key.as_bytes()[0] {
            b'"' => serde_json::from_str::<String>(key).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(key.to_owned()),
        });
        assert_eq!(found_key, key);
    }
    if let Ok(id) = find(text, &id_tokens) {
        let id = id.filter(|id| matches!(id.as_bytes()[0], b'"' | b'-' | b'0'..=b'9'));
        assert_eq!(found_id.as_deref(), id);
    }
});
