//! The scanner agrees with serde_json.

use super::*;

/// Documents in which most names are those that the pointers look for.
fn json() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["a", "b", "0", "1", "c/d", "e~f", "\\PC{0,3}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[\"\\\\\n\u{0}\u{1f}x]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that equal the key `kids`, or nearly.
fn name() -> impl Strategy<Value = String> {
    let letters = [
        prop_oneof!["k", "K", "\u{212a}", "\\\\u006b", "x"].boxed(),
        prop_oneof!["i", "I", "\u{131}"].boxed(),
        prop_oneof!["d", "D", "\\\\u0044"].boxed(),
        prop_oneof!["s", "S", "\u{17f}", "ss"].boxed(),
    ];
    prop_oneof![
        Just("kids".to_owned()),
        letters.prop_map(|letters| letters.concat())
    ]
}

/// The members of an object, as written.
struct Members(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn pointer() -> impl Strategy<Value = String> {
    let token = prop_oneof!["a", "b", "0", "1", "c~1d", "e~0f"];
    prop::collection::vec(token, 1..4).prop_map(|tokens| format!("/{}", tokens.join("/")))
}

proptest! {
    #[test]
    fn values_are_found_where_serde_json_finds_them(document in json(), key in pointer(), id in pointer(), pretty: bool) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        let (parsed_key, parsed_id) = match parse(&JsonKey::at(&key).id(&id), &text) {
            Ok((key, id)) => (Some(key), id),
            Err((_, id)) => (None, id),
        };
        let expected_key = match document.pointer(&key) {
            Some(Value::String(key)) => Some(key.clone()),
            Some(key @ (Value::Number(_) | Value::Bool(_))) => Some(key.to_string()),
            _ => None,
        };
        let expected_id = document.pointer(&id).filter(|id| id.is_string() || id.is_number());
        prop_assert_eq!(parsed_key, expected_key);
        prop_assert_eq!(parsed_id, expected_id.map(Value::to_string));
    }

    #[test]
    fn the_parser_accepts_exactly_the_json_of_serde_json(document in json(), at: prop::sample::Index, junk in "[\\[\\]{}\",:0-9a-f.eE+ \\\\u-]{0,3}", len in 0_usize..3) {
        let mut text = document.to_string();
        let boundary = |at| text.ceil_char_boundary(at);
        let start = boundary(at.index(text.len() + 1));
        let end = boundary((start + len).min(text.len()));
        text.replace_range(start..end, &junk);
        let accepted = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(find(&text, [None, None]).is_ok(), accepted, "{}", text);
        let pointer = Pointer::parse("/a/0").expect("a pointer");
        prop_assert_eq!(find(&text, [Some(pointer.path()), None]).is_ok(), accepted, "{}", text);
    }

    #[test]
    fn strict_reading_accepts_exactly_one_spelling_of_the_key(
        members in prop::collection::vec((name(), "[a-z]{0,3}"), 0..5),
        space in "[ \n]{0,2}",
    ) {
        let written: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\"{space}:{space}\"{value}\""))
            .collect();
        let text = format!("{{{space}{}{space}}}", written.join(","));
        // The names as serde_json reads them.
        let Members(names) = serde_json::from_str(&text).expect("JSON");
        let letter = |letter| match letter {
            'K' | '\u{212a}' => 'k',
            'I' | '\u{131}' => 'i',
            'D' => 'd',
            'S' | '\u{17f}' => 's',
            other => other,
        };
        let is_key = |name: &str| name.chars().map(letter).eq("kids".chars());
        let spellings: Vec<_> = names.iter().filter(|(name, _)| is_key(name)).collect();
        let expected = match spellings.as_slice() {
            [] => Some("other"),
            [(name, value)] if name == "kids" => Some(value.as_str()),
            _ => None,
        };
        let parsed = parse(&JsonKey::at("/kids").or("other"), &text).ok();
        prop_assert_eq!(parsed.as_ref().map(|(key, _)| key.as_str()), expected, "{}", text);
    }

    #[test]
    fn a_strict_parser_finds_what_others_find(document in json(), key in pointer(), id in pointer()) {
        let text = document.to_string();
        let (strict, lenient) = (JsonKey::at(&key).id(&id).strict(true), JsonKey::at(&key).id(&id));
        let is_ambiguous = find_strictly(&text, [lenient.key.as_ref().map(Pointer::path), None]).is_ok_and(|found| found.is_ambiguous);
        prop_assert_eq!(find(&text, [None, None]).is_ok(), find_strictly(&text, [None, None]).is_ok());
        if !is_ambiguous {
            prop_assert_eq!(parse(&strict, &text), parse(&lenient, &text));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse(&sum(), &text);
    }
}
