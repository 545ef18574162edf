use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn parse(
    parser: &JsonKey,
    text: &str,
) -> Result<(String, Option<String>), (String, Option<String>)> {
    let message = Message::text(text.to_owned());
    match parser.parse(&message) {
        Err(error) => Err((error.to_string(), None)),
        Ok(None) => panic!("nothing is dropped"),
        Ok(Some(envelope)) => {
            let (key, id, error) = envelope.into_test_parts();
            let id = id.map(|id| id.to_string());
            match error {
                Some(error) => Err((error.to_string(), id)),
                None => Ok((key, id)),
            }
        }
    }
}

fn sum() -> JsonKey {
    JsonKey::at("/action").id("/id")
}

fn key_of(text: &str) -> String {
    parse(&sum(), text).expect("a request").0
}

#[test]
fn key_and_id_are_read_in_any_order() {
    for text in [
        r#"{"action":"sum","id":7,"values":[1,{"id":8}]}"#,
        r#"{"values":{"action":"x"},"id":7,"action":"sum"}"#,
        " {\n\t\"id\" : 7 ,\r\n \"action\" : \"sum\" } ",
        r#"{ "a" : { } , "b" : [ ] , "c" : [ { "d" : 1 } , [ 2 ] , 3 ] , "id" : 7 , "action" : "sum" }"#,
        r#"{ "c" : { "d" : [ [ ] , { } , { "e" : [ ] } ] , "f" : true } , "action" : "sum" , "id" : 7 }"#,
    ] {
        assert_eq!(parse(&sum(), text), Ok(("sum".into(), Some("7".into()))));
    }
}

#[test]
fn an_id_goes_back_as_it_was_written() {
    for id in [
        "7",
        "-1.50e+3",
        "123456789012345678901234567890",
        r#""a-1""#,
        r#""\u0041\n""#,
    ] {
        let text = format!(r#"{{"id":{id},"action":"sum"}}"#);
        assert_eq!(parse(&sum(), &text), Ok(("sum".into(), Some(id.into()))));
    }
}

#[test]
fn messages_without_a_key_have_the_one_that_is_given_for_them() {
    let parser = sum().or("other");
    for (text, key, id) in [
        (r#"{"action":"sum","id":7}"#, "sum", Some("7")),
        (r#"{"ping":1,"id":7}"#, "other", Some("7")),
        (r#"{"action":{},"id":7}"#, "other", Some("7")),
        ("[]", "other", None),
        ("not JSON", "other", None),
        ("", "other", None),
    ] {
        let id = id.map(str::to_owned);
        assert_eq!(parse(&parser, text), Ok((key.to_owned(), id)), "{text}");
    }
    let binary = Message::Binary(vec![0, 1, 255].into());
    let envelope = parser.parse(&binary).expect("no error").expect("a request");
    assert_eq!(envelope.into_test_parts().0, "other");
}

#[test]
fn what_is_neither_string_nor_number_is_no_id() {
    for id in ["null", "true", "{}", "[7]"] {
        let text = format!(r#"{{"id":{id},"action":"sum"}}"#);
        assert_eq!(parse(&sum(), &text), Ok(("sum".into(), None)));
    }
}

#[test]
fn escapes_of_a_key_are_decoded() {
    assert_eq!(key_of(r#"{"action":"s\u0075m\"\/"}"#), "sum\"/");
    assert_eq!(key_of(r#"{"\u0061ction":"sum"}"#), "sum");
}

#[test]
fn a_number_or_a_boolean_is_a_key_as_it_is_written() {
    assert_eq!(key_of(r#"{"action":7}"#), "7");
    assert_eq!(key_of(r#"{"action":1.0}"#), "1.0");
    assert_eq!(key_of(r#"{"action":true}"#), "true");
}

#[test]
fn a_missing_key_is_a_bad_request_that_keeps_its_id() {
    for rest in [
        "",
        r#","action":null"#,
        r#","action":{"action":"sum"}"#,
        r#","action":["sum"]"#,
        r#","action":"\ud800""#,
    ] {
        let text = format!(r#"{{"id":9{rest}}}"#);
        let (error, id) = parse(&sum(), &text).expect_err("no key");
        assert_eq!(error, "bad request: no routing key, a string, at `/action`");
        assert_eq!(id.as_deref(), Some("9"));
    }
}

#[test]
fn the_last_of_repeated_members_counts() {
    assert_eq!(key_of(r#"{"action":"a","action":"b"}"#), "b");
    assert!(parse(&sum(), r#"{"action":"a","action":null}"#).is_err());
    let nested = JsonKey::at("/a/k");
    assert!(parse(&nested, r#"{"a":{"k":"x"},"a":{}}"#).is_err());
}

#[test]
fn pointers_reach_into_objects_and_arrays() {
    let parser = JsonKey::at("/header/topics/1").id("/a~1b/m~0n");
    let text = r#"{"header":{"topics":["x","quote"]},"a/b":{"m~n":"i"}}"#;
    assert_eq!(
        parse(&parser, text),
        Ok(("quote".into(), Some(r#""i""#.into())))
    );
    let text = r#"{"header":{"topics":{"1":"member"}}}"#;
    assert_eq!(parse(&parser, text), Ok(("member".into(), None)));
    assert_eq!(
        parse(&JsonKey::at("/0"), r#"["ping"]"#),
        Ok(("ping".into(), None))
    );
    assert!(parse(&JsonKey::at("/00"), r#"["ping"]"#).is_err());
}

#[test]
fn key_and_id_may_be_the_same_value() {
    let parser = JsonKey::at("/op").id("/op");
    assert_eq!(
        parse(&parser, r#"{"op":3}"#),
        Ok(("3".into(), Some("3".into())))
    );
}

#[test]
fn text_that_is_not_json_is_a_bad_request_without_id() {
    for text in [
        "hello",
        "",
        " ",
        r#"{"action":"sum","id":1"#,
        r#"{"action":"sum","id":1} x"#,
        "{\"action\":\"a\nb\",\"id\":1}",
        r#"{"action":"sum","id":1,}"#,
        r#"{"action":"sum","id":01}"#,
        r#"{"action":"sum","id":1,"x":nul}"#,
        r#"{"action":"sum","id":1,"x":[1,]}"#,
        r#"{"action":"sum","id":1,"x":{"y" 1}}"#,
        r#"{"action":"sum","id":1.}"#,
        r#"{"action":"sum","id":1,"x":"\q"}"#,
        r#"{"action":"sum","id":1,"x":[1}}"#,
        "\u{feff}{\"action\":\"sum\",\"id\":1}",
    ] {
        let (error, id) = parse(&sum(), text).expect_err(text);
        assert!(
            error.starts_with("bad request: not JSON: "),
            "{text}: {error}"
        );
        assert_eq!(id, None, "{text}");
    }
}

#[test]
fn values_nested_more_than_128_deep_are_refused() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"action":"sum","x":{open}{close}}}"#)
    };
    assert!(parse(&sum(), &nested(128)).is_ok());
    let (error, _) = parse(&sum(), &nested(130)).expect_err("too deep");
    assert_eq!(error, "bad request: values are nested too deep");
    assert!(parse(&sum(), &nested(100_000)).is_err());
}

#[test]
fn a_binary_message_in_json_is_parsed() {
    let message = Message::binary(br#"{"action":"sum","id":"x"}"#.to_vec());
    let envelope = sum().parse(&message).expect("JSON").expect("a request");
    let (key, id, _) = envelope.into_test_parts();
    assert_eq!(
        (key.as_str(), id.expect("an id").as_str()),
        ("sum", r#""x""#)
    );
    assert!(sum().parse(&Message::binary(vec![0, 1, 0xff])).is_err());
}

#[test]
fn errors_are_json_with_the_id_at_its_pointer() {
    let errors = JsonKey::at("/action").id("/meta/id").errors();
    let reply = errors.write(&Error::NoRoute, Some(&RequestId::new("7")));
    let text = reply.as_messages()[0].as_text().expect("text");
    assert_eq!(
        text,
        r#"{"error":{"code":"no_route","message":"nothing answers this key"},"meta":{"id":7}}"#
    );
}

#[test]
#[should_panic(expected = "the JSON pointer `action` does not start with `/`")]
fn a_pointer_without_slash_panics() {
    let _ = JsonKey::at("action");
}

#[test]
#[should_panic(expected = "`~` is not `~0` or `~1`")]
fn a_pointer_with_an_unknown_escape_panics() {
    let _ = JsonKey::at("/a~2");
}

/// Documents whose names are mostly those that the pointers ask for.
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
    fn exactly_what_serde_json_accepts_is_json(document in json(), at: prop::sample::Index, junk in "[\\[\\]{}\",:0-9a-f.eE+ \\\\u-]{0,3}", len in 0_usize..3) {
        let mut text = document.to_string();
        let boundary = |at| text.ceil_char_boundary(at);
        let start = boundary(at.index(text.len() + 1));
        let end = boundary((start + len).min(text.len()));
        text.replace_range(start..end, &junk);
        let accepted = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(find(&text, [None, None]).is_ok(), accepted, "{}", text);
        let pointer = Pointer::new("/a/0");
        prop_assert_eq!(find(&text, [Some(pointer.path()), None]).is_ok(), accepted, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse(&sum(), &text);
    }
}
