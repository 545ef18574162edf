//! The names of groups on a server that many things use.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::connection::registry::elsewhere::Place;

/// The characters of a name that stand for something else in a subject, or might on some server.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The longest name of a group or a registry in bytes. Servers limit the length of a subject.
pub(super) const MAX_NAME: usize = 512;

/// The name as one token of a subject, in which no other name results; `None` if it is too long.
pub(super) fn token(name: &str) -> Option<String> {
    match name.len() {
        0 => Some("%".to_owned()),
        1..=MAX_NAME => Some(utf8_percent_encode(name, ENCODED).to_string()),
        _ => None,
    }
}

/// The subject of a place in the registry with this prefix.
pub(super) fn subject(prefix: &str, place: &Place) -> Option<String> {
    let (kind, name) = match place {
        Place::Group(name) => ('g', name),
        Place::User(name) => ('u', name),
    };
    Some(format!("{prefix}.{kind}.{}", token(name)?))
}

/// The prefix and the name of a group that a subject is of.
pub(super) fn group(subject: &str) -> Option<(&str, String)> {
    let (rest, token) = subject.rsplit_once('.')?;
    let prefix = rest.strip_suffix(".g")?;
    let name = match token {
        "%" => String::new(),
        token => percent_decode_str(token).decode_utf8().ok()?.into_owned(),
    };
    Some((prefix, name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_become_one_token_each_and_stay_apart() {
        let names = [
            "",
            "%",
            "%25",
            "*",
            ">",
            "a",
            "a.b",
            "a b",
            "a\tb",
            "a%2Eb",
            "é",
            "e\u{301}",
            "\r\n",
            "A",
            "/chat/{room}",
            "-",
            "_",
            "\0",
            "a:b",
        ];
        let tokens: HashSet<_> = names.iter().filter_map(|name| token(name)).collect();
        assert_eq!(tokens.len(), names.len());
        for name in names {
            let subject = subject("wasabi.a.%2F", &Place::Group(name.into())).expect("a subject");
            assert_eq!(group(&subject), Some(("wasabi.a.%2F", name.to_owned())));
        }
        assert_eq!(group("wasabi.a.%2F.u.name"), None);
        for token in tokens {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte);
            assert!(!token.is_empty() && token.bytes().all(is_plain), "{token}");
        }
        assert_eq!(token(&"a".repeat(MAX_NAME + 1)), None);
    }
}
