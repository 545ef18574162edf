mod agreement;

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
fn messages_without_a_key_get_the_default_key() {
    let parser = sum().or("other");
    for (text, key, id) in [
        (r#"{"action":"sum","id":7}"#, "sum", Some("7")),
        (r#"{"ping":1,"id":7}"#, "other", Some("7")),
        (r#"{"action":null,"id":7}"#, "other", Some("7")),
        ("[]", "other", None),
        ("7", "other", None),
    ] {
        let id = id.map(str::to_owned);
        assert_eq!(parse(&parser, text), Ok((key.to_owned(), id)), "{text}");
    }
}

/// Messages that some JSON parsers read as a call of `sum`, and ours does not.
fn json_of_others() -> Vec<Message> {
    let deep = format!(
        r#"{{"action":"sum","x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let utf_16 = r#"{"action":"sum"}"#.encode_utf16().flat_map(u16::to_le_bytes);
    vec![
        Message::text(deep),
        Message::text(r#"{"action":"sum","n":NaN}"#),
        Message::text("\u{feff}{\"action\":\"sum\"}"),
        Message::text("{\"action\":\"sum\",\"x\":\"a\tb\"}"),
        Message::text("{\"action\":\"sum\"}\0"),
        Message::text("{\"action\":\"sum\"}\n{}"),
        Message::text(r#"{"action":"sum"} // so"#),
        Message::text(r#"{"action":"sum",}"#),
        Message::text("{'action':'sum'}"),
        Message::binary(b"{\"action\":\"sum\",\"x\":\"\xff\"}".to_vec()),
        Message::binary(utf_16.collect::<Vec<_>>()),
        Message::text("not JSON"),
        Message::text(""),
    ]
}

#[test]
fn invalid_json_does_not_count_as_a_message_without_a_key() {
    for message in json_of_others() {
        let refused = sum().or("other").parse(&message);
        let error = refused.expect_err("not JSON").to_string();
        assert!(error.starts_with("unreadable: "), "{message:?}: {error}");
        let parser = sum().or("other").not_json("not JSON");
        let envelope = parser
            .parse(&message)
            .expect("no error")
            .expect("a request");
        assert_eq!(envelope.into_test_parts().0, "not JSON", "{message:?}");
        assert!(sum().parse(&message).is_err());
    }
}

const AMBIGUOUS: &str = "bad request: `/action` occurs twice, or once more in another case";

#[test]
fn a_strict_parser_refuses_what_can_be_read_in_two_ways_and_keeps_the_id() {
    for text in [
        r#"{"id":7,"action":"a","action":"sum"}"#,
        r#"{"id":7,"action":"sum","action":"sum"}"#,
        r#"{"id":7,"action":"a","\u0061ction":"sum"}"#,
        r#"{"id":7,"Action":"sum"}"#,
        r#"{"id":7,"ACTION":"sum","action":"a"}"#,
        r#"{"action":"a","id":7,"aCtIoN":{}}"#,
        r#"{"id":7,"\u0041ction":"sum"}"#,
        "{\"id\":7,\"act\u{131}on\":\"sum\"}",
    ] {
        for parser in [sum().or("other"), sum().strict(true)] {
            let refused = Err((AMBIGUOUS.to_owned(), Some("7".to_owned())));
            assert_eq!(parse(&parser, text), refused, "{text}");
        }
        let lenient = parse(&sum().or("other").strict(false), text);
        assert!(lenient.is_ok(), "{text}: {lenient:?}");
    }
    for kelvin in ["\u{212a}ind", "K\u{131}nd", "kIND"] {
        let parser = JsonKey::at("/kind").strict(true);
        assert!(parse(&parser, &format!(r#"{{"{kelvin}":"a"}}"#)).is_err());
    }
}

#[test]
fn a_strict_parser_checks_only_the_path_to_the_key() {
    let parser = JsonKey::at("/header/action").id("/id").or("other");
    for (text, key) in [
        (r#"{"header":{"action":"sum","x":1,"x":2},"id":7}"#, "sum"),
        (
            r#"{"header":{"action":"sum"},"body":{"action":1,"Action":2},"id":7}"#,
            "sum",
        ),
        (
            r#"{"header":{"action":"sum"},"Action":1,"action":2,"id":1,"Id":2,"id":7}"#,
            "sum",
        ),
        (
            r#"{"headers":{"action":"sum"},"actions":1,"id":7}"#,
            "other",
        ),
        (r#"{"header":{"actio":"sum"},"id":7}"#, "other"),
    ] {
        let expected = Ok((key.to_owned(), Some("7".to_owned())));
        assert_eq!(parse(&parser, text), expected, "{text}");
    }
    for text in [
        r#"{"header":{"action":"a"},"header":{"x":1}}"#,
        r#"{"header":{"x":1},"HEADER":{"action":"sum"}}"#,
        r#"{"header":{"action":"a","action":"sum"}}"#,
    ] {
        assert!(parse(&parser, text).is_err(), "{text}");
    }
}

#[test]
fn a_message_whose_key_others_may_find_is_not_passed_on_without_a_key() {
    for value in [r#"["sum"]"#, "{}", r#""sum\ud800""#] {
        let text = format!(r#"{{"action":{value},"id":7}}"#);
        let (error, id) = parse(&sum().or("other"), &text).expect_err("refused");
        assert!(error.contains("expected a routing key"), "{error}");
        assert_eq!(id.as_deref(), Some("7"));
        let lenient = parse(&sum().or("other").strict(false), &text);
        assert_eq!(lenient.expect("passed on").0, "other");
    }
}

#[test]
fn only_strings_and_numbers_are_ids() {
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
fn a_missing_key_is_an_error_that_keeps_its_id() {
    for rest in [
        "",
        r#","action":null"#,
        r#","action":{"action":"sum"}"#,
        r#","action":["sum"]"#,
        r#","action":"\ud800""#,
    ] {
        let text = format!(r#"{{"id":9{rest}}}"#);
        let (error, id) = parse(&sum(), &text).expect_err("no key");
        assert_eq!(
            error,
            "no key: expected a routing key, a string, at `/action`"
        );
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
fn text_that_is_not_json_is_unreadable_and_has_no_id() {
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
            error.starts_with("unreadable: not JSON: "),
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
    assert_eq!(error, "unreadable: values are nested too deep");
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
        r#"{"error":{"code":"no_route","message":"no route for this key"},"meta":{"id":7}}"#
    );
}

#[test]
fn a_text_that_is_not_a_pointer_is_a_mistake() {
    for text in ["action", "", "/a~2"] {
        assert!(JsonKey::at(text).check().is_err(), "{text}");
        assert!(JsonKey::at("/action").id(text).check().is_err(), "{text}");
    }
}
