//! Batches: section 6 of the specification, and their bounds.

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use wasabi::prelude::*;
use wasabi_tests::{Client, Gate, TestServer, serve, until};

use super::{ask, client, code};

/// The calls as a batch, and the array that answers them.
pub(super) async fn batch(client: &mut Client, calls: Value) -> Vec<Value> {
    match client.ask_json(calls).await {
        Value::Array(answers) => answers,
        other => panic!("no array: {other}"),
    }
}

#[tokio::test]
async fn a_batch_is_answered_by_one_array_in_which_each_call_has_its_id_and_outcome() {
    let (_server, mut client) = client().await;
    let answers = batch(
        &mut client,
        json!([
            {"jsonrpc": "2.0", "method": "sum", "params": [1, 2, 4], "id": "1"},
            {"jsonrpc": "2.0", "method": "sum", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "unit", "id": 9},
            {"jsonrpc": "2.0", "method": "panic", "id": 10},
            {"jsonrpc": "2.0", "method": "fail", "params": ["own"]},
            1,
            [{"jsonrpc": "2.0", "method": "unit", "id": 11}],
            {"jsonrpc": "2.0", "method": "count", "params": [3], "id": 12},
        ]),
    )
    .await;
    let outcomes: Vec<_> = answers
        .iter()
        .map(|answer| match answer.get("error") {
            Some(error) => (answer["id"].clone(), error["code"].clone()),
            None => (answer["id"].clone(), answer["result"].clone()),
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (json!("1"), json!(7)),
            (json!("2"), json!(19)),
            (Value::Null, json!(-32600)),
            (json!("5"), json!(-32601)),
            (json!(9), Value::Null),
            (json!(10), json!(-32603)),
            (Value::Null, json!(-32600)),
            (Value::Null, json!(-32600)),
            (json!(12), json!(-32600)),
        ]
    );
}

#[tokio::test]
async fn a_batch_that_is_not_json_is_one_parse_error() {
    let (_server, mut client) = client().await;
    let call = r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method""#;
    let answer: Value = serde_json::from_str(&client.ask(call).await).expect("JSON");
    assert_eq!((code(&answer), &answer["id"]), (-32700, &Value::Null));
}

#[tokio::test]
async fn an_empty_batch_and_one_beyond_the_bound_are_one_error() {
    let (_server, mut client) = client().await;
    let call = json!({"jsonrpc": "2.0", "method": "unit", "id": 1});
    for size in [0, 101] {
        let answer = client
            .ask_json(Value::Array(vec![call.clone(); size]))
            .await;
        assert_eq!(
            (code(&answer), &answer["id"]),
            (-32600, &Value::Null),
            "{size}"
        );
    }
    assert_eq!(
        batch(&mut client, Value::Array(vec![call; 100]))
            .await
            .len(),
        100
    );
}

#[tokio::test]
async fn the_bound_of_a_batch_is_a_setting() {
    let server = serve(gateway!(channel(
        "/",
        protocol = JsonRpc::new().max_batch(2),
        async || Json(1),
    )))
    .await;
    let mut client = server.connect("/").await;
    let call = json!({"jsonrpc": "2.0", "method": "x", "id": 1});
    let answers = batch(&mut client, json!([call, call])).await;
    assert_eq!(answers.len(), 2);
    let answer = client.ask_json(json!([call, call, call])).await;
    assert_eq!(code(&answer), -32600);
    let message = "a batch of 3 calls; at most 2 are allowed";
    assert_eq!(answer["error"]["message"], message);
}

#[test]
fn a_bound_of_0_calls_is_a_mistake() {
    let none = 0;
    let gateway = gateway!(channel(
        "/",
        protocol = JsonRpc::new().max_batch(none),
        NoRoute
    ));
    let mistakes = gateway.check().expect_err("no batch is allowed");
    assert!(
        mistakes[0]
            .to_string()
            .contains("zero makes no sense in `JsonRpc::max_batch(..)`")
    );
}

#[tokio::test]
async fn an_invalid_batch_that_is_not_empty_is_answered_for_each_element() {
    let (_server, mut client) = client().await;
    let answers = batch(&mut client, json!([1, 2, 3])).await;
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!((code(&answer), &answer["id"]), (-32600, &Value::Null));
    }
}

#[tokio::test]
async fn a_batch_of_notifications_is_not_answered() {
    let (_server, mut client) = client().await;
    let call = json!([
        {"jsonrpc": "2.0", "method": "sum", "params": [1, 2, 4]},
        {"jsonrpc": "2.0", "method": "missing"},
    ]);
    client.send(call.to_string()).await;
    assert_eq!(ask(&mut client, "unit", json!({})).await["id"], 1);
    client.silent().await;
}

#[tokio::test]
async fn the_calls_of_a_batch_run_side_by_side_each_through_middleware_on_its_route() {
    let (gate, seen) = (Gate::closed(), Seen::default());
    let (held, seeing) = (gate.clone(), seen.clone());
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        protocol = JsonRpc::new(),
        middleware = [see(seeing)],
        match key {
            "wait" => move || {
                let held = held.clone();
                async move {
                    held.pass().await;
                    Json(1)
                }
            },
            "quick" => async || Json(2),
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let wait = |id| json!({"jsonrpc": "2.0", "method": "wait", "id": id});
    let mut calls: Vec<_> = (0..40).map(wait).collect();
    calls.push(json!({"jsonrpc": "2.0", "method": "quick", "id": 40}));
    calls.push(json!({"jsonrpc": "2.0", "method": "other", "id": 41}));
    client.send(Value::Array(calls).to_string()).await;
    until("as many run as may", || gate.running() == 16).await;
    gate.open.add_permits(40);
    let answers = client.json().await;
    let ids: Vec<_> = answers
        .as_array()
        .expect("an array")
        .iter()
        .map(|answer| answer["id"].clone())
        .collect();
    assert_eq!(ids, (0..42).map(|id| json!(id)).collect::<Vec<_>>());
    let mut seen = seen.0.lock().expect("whole").clone();
    seen.sort();
    let mut expected = vec!["wait".to_owned(); 40];
    expected.extend(["quick".to_owned(), "_".to_owned()]);
    expected.sort();
    assert_eq!(seen, expected);
}

/// The routes that a middleware saw.
#[derive(Clone, Default)]
struct Seen(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

#[middleware]
async fn see(seen: Seen, req: Request, next: impl Next) -> Result<Reply> {
    let route = req.route().trim_matches('"').to_owned();
    seen.0.lock().expect("whole").push(route);
    next.run(req).await
}

#[tokio::test]
async fn a_batch_whose_replies_are_too_large_runs_no_further_calls() {
    let server = serve(gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        max_waiting_bytes = 10KiB,
        async || "x".repeat(3000),
    )))
    .await;
    let mut client = server.connect("/").await;
    let call = json!({"jsonrpc": "2.0", "method": "x", "id": 1});
    let answers = batch(&mut client, Value::Array(vec![call; 10])).await;
    let done = answers
        .iter()
        .filter(|answer| answer["result"].is_string())
        .count();
    let refused = answers
        .iter()
        .filter(|answer| answer["error"]["data"]["code"] == "overloaded")
        .count();
    assert_eq!((done, refused), (4, 6));
}

#[tokio::test]
async fn more_than_100_invalid_calls_a_second_close_the_connection_also_in_batches() {
    let (_server, mut client) = client().await;
    for _ in 0..2 {
        client
            .send(Value::Array(vec![json!(1); 60]).to_string())
            .await;
    }
    assert_eq!(client.json().await.as_array().map(Vec::len), Some(60));
    let (code, _) = client.closed().await;
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn each_call_of_a_batch_is_told_that_the_connection_is_closed() {
    let gate = Gate::closed();
    let server = serve(gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        close_timeout = 100ms,
        gated(&gate),
    )))
    .await;
    let mut client = server.connect("/").await;
    let calls = json!([
        {"jsonrpc": "2.0", "method": "x", "id": 1},
        {"jsonrpc": "2.0", "method": "x"},
        {"jsonrpc": "2.0", "method": "x", "id": "b"},
    ]);
    client.send(calls.to_string()).await;
    until("they run", || gate.running() == 3).await;
    let ended = tokio::spawn(server.drain());
    let answers = client.json().await;
    let answers = answers.as_array().expect("an array");
    assert_eq!(answers.len(), 2, "{answers:?}");
    for (answer, id) in answers.iter().zip([json!(1), json!("b")]) {
        assert_eq!(answer["id"], id);
        assert_eq!(answer["error"]["data"]["code"], "interrupted");
    }
    drop(client);
    let _ = ended.await;
}

/// A function that passes a gate.
fn gated(gate: &Gate) -> impl Fn() -> BoxFuture<'static, Json<i32>> + Send + Sync + 'static {
    let gate = gate.clone();
    move || {
        let gate = gate.clone();
        let answer = async move {
            gate.pass().await;
            Json(1)
        };
        answer.boxed()
    }
}

/// A connection whose only place is taken by the request 7.
async fn busy() -> (TestServer, Client, Gate) {
    let gate = Gate::closed();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        protocol = JsonRpc::new(),
        gated(&gate),
    )))
    .await;
    let mut client = server.connect("/").await;
    let call = json!({"jsonrpc": "2.0", "method": "x", "id": 7});
    client.send(call.to_string()).await;
    until("it runs", || gate.running() == 1).await;
    (server, client, gate)
}

fn cancel(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}})
}

#[tokio::test]
async fn a_cancellation_inside_a_batch_needs_no_slot() {
    let (_server, mut client, gate) = busy().await;
    let calls = json!([cancel(7), {"jsonrpc": "2.0", "method": "x", "id": 8}, cancel(9)]);
    let answer = client.ask_json(calls).await;
    assert_eq!(
        (&answer["id"], &answer["error"]["data"]["code"]),
        (&json!(7), &json!("cancelled"))
    );
    gate.open.add_permits(1);
    let answers = client.json().await;
    assert_eq!(answers, json!([{"jsonrpc": "2.0", "id": 8, "result": 1}]));
    client.silent().await;
}

#[tokio::test]
async fn a_drain_carries_out_the_cancellations_of_a_batch_and_answers_nothing_else() {
    let (server, mut client, _gate) = busy().await;
    server.handle.drain();
    // The connection learns of it in its own time.
    loop {
        let call = json!({"jsonrpc": "2.0", "method": "x", "id": 8});
        client.send(call.to_string()).await;
        client.send(cancel(8).to_string()).await;
        if client.json().await["error"]["data"]["code"] == "closing" {
            break;
        }
    }
    client.send(json!([cancel(6)]).to_string()).await;
    let answer = client.ask_json(json!([cancel(5), cancel(7)])).await;
    assert_eq!(
        (&answer["id"], &answer["error"]["data"]["code"]),
        (&json!(7), &json!("cancelled"))
    );
    assert_eq!(client.closed().await.0, 1012);
}
