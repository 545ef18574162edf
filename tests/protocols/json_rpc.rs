//! JSON-RPC 2.0: one test for each rule of the specification, in its order.

mod batches;
mod subscriptions;

use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use wasabi::{Error, prelude::*};
use wasabi_tests::{Client, TestServer, serve};

#[derive(Deserialize)]
struct Subtraction {
    minuend: i64,
    subtrahend: i64,
}

async fn subtract(Params(of): Params<Subtraction>) -> Json<i64> {
    Json(of.minuend - of.subtrahend)
}

async fn sum(Params(numbers): Params<Vec<i64>>) -> Json<i64> {
    Json(numbers.into_iter().sum())
}

async fn fail(Params((how,)): Params<(String,)>) -> Result<Json<()>, Error> {
    Err(match how.as_str() {
        "own" => Error::new("out_of_stock", "this item is sold out"),
        "number" => Error::new("3", "execution reverted"),
        "limited" => Error::RateLimited {
            retry_after: Some(std::time::Duration::from_millis(1500)),
        },
        "late" => Error::TimedOut(std::time::Duration::ZERO),
        _ => std::io::Error::other("the password is hunter2").into(),
    })
}

async fn count(
    Params((end,)): Params<(u64,)>,
) -> Replies<impl Stream<Item = Result<Json<u64>, Error>>> {
    Replies(stream::iter(0..end).map(|n| match n {
        3 => Err(Error::new("too_far", "that is far enough")),
        n => Ok(Json(n)),
    }))
}

pub(super) async fn calls() -> TestServer {
    serve(gateway!(channel(
        "/",
        protocol = JsonRpc::new().subscriptions("counted"),
        match key {
            "subtract" => subtract,
            "sum" => sum,
            "fail" => fail,
            "count" => count,
            "unsubscribe" => wasabi::Unsubscribe,
            "forever" =>
                async || Replies(stream::iter([Json(0)]).chain(stream::pending::<Json<i32>>())),
            "never" => async || {
                std::future::pending::<()>().await;
                Json(0)
            },
            "none" => async |Params(()): Params<()>| Json("nothing needed"),
            "maybe" => async |Params(some): Params<Option<Vec<u8>>>| Json(some),
            "text" => async || "plain \"text\"",
            "json" => async || r#"{"as":["it","is"]}"#,
            "unit" => async || (),
            "several" => async || vec!["1", "two"],
            "binary" => async || Bytes::from_static(b"[1]"),
            "not_json" => async || Bytes::from_static(&[0xff]),
            "method" => async |key: Key| Json(key.as_str().to_owned()),
            "id" => async |id: RequestId| Json(id.as_str().to_owned()),
            "message" => async |text: Text| text,
            "panic" => async || -> Json<()> { panic!("a function") },
            "é\n" => async || "escaped",
            _ => NoRoute,
        },
    )))
    .await
}

async fn client() -> (TestServer, Client) {
    let server = calls().await;
    let client = server.connect("/").await;
    (server, client)
}

/// Asks with this text, and expects this answer.
async fn expect(client: &mut Client, text: &str, answer: Value) {
    client.send(text.to_owned()).await;
    assert_eq!(client.json().await, answer, "{text}");
}

/// What is answered to this method with these members beside it.
async fn ask(client: &mut Client, method: &str, members: Value) -> Value {
    let mut call = json!({"jsonrpc": "2.0", "id": 1, "method": method});
    for (name, value) in members.as_object().expect("an object") {
        call[name] = value.clone();
    }
    client.ask_json(call).await
}

/// The code of the error, which must have no result beside it.
fn code(answer: &Value) -> i64 {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    assert_eq!(answer.get("result"), None, "{answer}");
    assert!(answer["error"]["message"].is_string(), "{answer}");
    answer["error"]["code"].as_i64().expect("an integer")
}

// 4 Request object

#[tokio::test]
async fn jsonrpc_must_be_exactly_2_0() {
    let (_server, mut client) = client().await;
    for version in ["\"1.0\"", "2.0", "\"2\"", "null", "\"2.0 \""] {
        let call = format!(r#"{{"jsonrpc":{version},"id":5,"method":"unit"}}"#);
        let answer: Value = serde_json::from_str(&client.ask(&call).await).expect("JSON");
        assert_eq!(
            (code(&answer), &answer["id"]),
            (-32600, &json!(5)),
            "{call}"
        );
    }
    let answer = client.ask_json(json!({"id": 5, "method": "unit"})).await;
    assert_eq!((code(&answer), &answer["id"]), (-32600, &json!(5)));
}

#[tokio::test]
async fn the_method_is_a_string_with_any_escapes() {
    let (_server, mut client) = client().await;
    for method in [json!(1), json!(null), json!(["unit"]), json!({})] {
        let answer = client
            .ask_json(json!({"jsonrpc": "2.0", "id": "a", "method": method}))
            .await;
        assert_eq!((code(&answer), &answer["id"]), (-32600, &json!("a")));
        assert_eq!(answer["error"]["data"]["code"], "no_key");
    }
    let answer = client.ask_json(json!({"jsonrpc": "2.0", "id": 1})).await;
    assert_eq!(code(&answer), -32600);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"\u00e9\n"}"#;
    expect(
        &mut client,
        call,
        json!({"jsonrpc": "2.0", "id": 1, "result": "escaped"}),
    )
    .await;
}

#[tokio::test]
async fn an_id_of_each_kind_goes_back_as_written() {
    let (_server, mut client) = client().await;
    let long = format!("\"{}\"", "x".repeat(100));
    for id in [
        "7",
        "-1",
        "1.50",
        "1e3",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\"",
        "null",
        "123456789012345678901234567890",
        &long,
    ] {
        client
            .send(format!(
                r#" {{ "id" : {id} , "jsonrpc" : "2.0", "method":"unit" }} "#
            ))
            .await;
        let answer = client.text().await;
        assert_eq!(
            answer,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":null}}"#)
        );
    }
    let answer = ask(&mut client, "id", json!({"id": "a-1"})).await;
    assert_eq!(answer["result"], "\"a-1\"");
}

#[tokio::test]
async fn an_id_that_is_neither_a_string_nor_a_number_nor_null_is_invalid_and_answered_with_null() {
    let (_server, mut client) = client().await;
    for id in [json!(true), json!([1]), json!({"a": 1})] {
        let answer = ask(&mut client, "unit", json!({ "id": id })).await;
        assert_eq!((code(&answer), &answer["id"]), (-32600, &Value::Null));
    }
}

#[tokio::test]
async fn a_repeated_member_is_invalid() {
    let (_server, mut client) = client().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"unit","method":"text"}"#;
    let answer: Value = serde_json::from_str(&client.ask(call).await).expect("JSON");
    assert_eq!((code(&answer), &answer["id"]), (-32600, &Value::Null));
}

// 4.1 Notification

#[tokio::test]
async fn a_notification_is_not_answered_not_even_with_an_error() {
    let (_server, mut client) = client().await;
    for call in [
        json!({"jsonrpc": "2.0", "method": "unit"}),
        json!({"jsonrpc": "2.0", "method": "sum", "params": [1, 2]}),
        json!({"jsonrpc": "2.0", "method": "sum", "params": "invalid"}),
        json!({"jsonrpc": "2.0", "method": "sum", "params": ["invalid"]}),
        json!({"jsonrpc": "2.0", "method": "fail", "params": ["own"]}),
        json!({"jsonrpc": "2.0", "method": "missing"}),
        json!({"jsonrpc": "2.0", "method": "panic"}),
        json!({"jsonrpc": "2.0", "method": "count", "params": [9]}),
    ] {
        if call["params"] != "invalid" {
            client.send(call.to_string()).await;
        }
    }
    assert_eq!(ask(&mut client, "unit", json!({})).await["id"], 1);
    client.silent().await;
}

#[tokio::test]
async fn an_invalid_request_without_an_id_is_no_notification() {
    let (_server, mut client) = client().await;
    let answer = client
        .ask_json(json!({"jsonrpc": "2.0", "method": 1}))
        .await;
    assert_eq!((code(&answer), &answer["id"]), (-32600, &Value::Null));
}

// 4.2 Parameter structures

#[tokio::test]
async fn parameters_are_by_position_or_by_name() {
    let (_server, mut client) = client().await;
    for params in [
        json!([42, 23]),
        json!({"minuend": 42, "subtrahend": 23}),
        json!({"subtrahend": 23, "minuend": 42}),
    ] {
        let answer = ask(&mut client, "subtract", json!({ "params": params })).await;
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": 19}));
    }
}

#[tokio::test]
async fn parameters_may_be_left_out_if_the_function_needs_none() {
    let (_server, mut client) = client().await;
    for members in [
        json!({}),
        json!({"params": null}),
        json!({"params": []}),
        json!({"params": {}}),
    ] {
        let answer = ask(&mut client, "none", members).await;
        assert_eq!(answer["result"], "nothing needed");
    }
    assert_eq!(
        ask(&mut client, "maybe", json!({})).await["result"],
        Value::Null
    );
    assert_eq!(ask(&mut client, "sum", json!({})).await["result"], 0);
    let answer = ask(&mut client, "subtract", json!({})).await;
    assert_eq!(code(&answer), -32602);
}

#[tokio::test]
async fn parameters_that_are_neither_an_array_nor_an_object_are_invalid() {
    let (_server, mut client) = client().await;
    for params in [json!("bar"), json!(1), json!(true)] {
        let answer = ask(&mut client, "sum", json!({ "params": params })).await;
        assert_eq!((code(&answer), &answer["id"]), (-32600, &json!(1)));
    }
}

// 5 Response object

#[tokio::test]
async fn a_function_returns_its_result_without_an_envelope() {
    let (_server, mut client) = client().await;
    for (method, result) in [
        ("text", json!("plain \"text\"")),
        ("json", json!({"as": ["it", "is"]})),
        ("unit", Value::Null),
        ("several", json!([1, "two"])),
        ("binary", json!([1])),
        ("method", json!("method")),
    ] {
        let answer = ask(&mut client, method, json!({})).await;
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": result}));
    }
    let answer = ask(&mut client, "not_json", json!({})).await;
    assert_eq!(code(&answer), -32603);
    let answer = ask(&mut client, "message", json!({})).await;
    assert_eq!(answer["result"]["method"], "message");
}

#[tokio::test]
async fn a_binary_message_in_utf8_is_a_call_too() {
    let (_server, mut client) = client().await;
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"sum","params":[1,2]}"#;
    client.send(call.to_vec()).await;
    assert_eq!(client.json().await["result"], 3);
    client.send(vec![0xff]).await;
    assert_eq!(code(&client.json().await), -32700);
}

// 5.1 Error object

#[tokio::test]
async fn a_message_that_is_not_json_is_a_parse_error() {
    let (_server, mut client) = client().await;
    let call = r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#;
    let answer: Value = serde_json::from_str(&client.ask(call).await).expect("JSON");
    assert_eq!((code(&answer), &answer["id"]), (-32700, &Value::Null));
    assert_eq!(answer["error"]["data"]["code"], "unreadable");
}

#[tokio::test]
async fn json_that_is_no_request_is_an_invalid_request() {
    let (_server, mut client) = client().await;
    for call in ["1", "\"unit\"", "null", "{}", r#"{"foo": "boo"}"#] {
        let answer: Value = serde_json::from_str(&client.ask(call).await).expect("JSON");
        assert_eq!(
            (code(&answer), &answer["id"]),
            (-32600, &Value::Null),
            "{call}"
        );
    }
}

#[tokio::test]
async fn each_kind_of_error_has_its_code_and_ours_in_data() {
    let (_server, mut client) = client().await;
    for (method, params, number, ours) in [
        ("missing", json!([]), -32601, "no_route"),
        ("subtract", json!(["a", "b"]), -32602, "invalid_params"),
        ("subtract", json!({"minuend": 42}), -32602, "invalid_params"),
        ("fail", json!(["io"]), -32603, "internal"),
        ("panic", json!([]), -32603, "internal"),
        ("fail", json!(["own"]), -32000, "out_of_stock"),
        ("fail", json!(["late"]), -32000, "timed_out"),
        ("fail", json!(["limited"]), -32000, "rate_limited"),
        ("fail", json!(["number"]), 3, "3"),
    ] {
        let answer = ask(&mut client, method, json!({ "params": params })).await;
        assert_eq!(
            (code(&answer), &answer["id"]),
            (number, &json!(1)),
            "{answer}"
        );
        assert_eq!(answer["error"]["data"]["code"], ours, "{answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
        let after = answer["error"]["data"].get("retry_after_ms");
        assert_eq!(after.is_some(), ours == "rate_limited", "{answer}");
    }
}
