//! `graphql-transport-ws`: every rule of its published text (enisdenjo/graphql-ws, PROTOCOL.md).

mod closes;
mod complete;
mod relay;

use std::future::{self, Ready};

use axum::{Router, routing::post};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasabi::{Close, Error, GraphqlWs, InFlight, Init, prelude::*};
use wasabi_tests::{Client, Gate, TestServer, http_service, serve, until};

const SUBPROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

async fn open(server: &TestServer) -> Client {
    server
        .connect_with("/", &[SUBPROTOCOL])
        .await
        .expect("open")
}

/// A client that has been acknowledged.
async fn ready(server: &TestServer) -> Client {
    let mut client = open(server).await;
    let ack = client.ask_json(json!({"type": "connection_init"})).await;
    assert_eq!(ack, json!({"type": "connection_ack"}));
    client
}

fn subscribe(id: &str, name: &str) -> Value {
    let query = format!("subscription {name} {{ n }}");
    let payload = json!({"query": query, "operationName": name, "variables": {"most": 3}});
    json!({"id": id, "type": "subscribe", "payload": payload})
}

fn next(id: &str, n: u64) -> Value {
    json!({"id": id, "type": "next", "payload": {"data": {"n": n}}})
}

fn complete(id: &str) -> Value {
    json!({"id": id, "type": "complete"})
}

fn result(n: u64) -> Json<Value> {
    Json(json!({"data": {"n": n}}))
}

#[derive(Deserialize)]
struct Operation {
    query: String,
    variables: Option<Value>,
}

/// A function whose results pass a gate, each when the gate lets it.
fn gated(
    gate: &Gate,
) -> impl Fn() -> Ready<Replies<BoxStream<'static, Json<Value>>>> + Clone + Send + Sync + 'static {
    let gate = gate.clone();
    move || {
        let gate = gate.clone();
        let results = stream::unfold(0, move |n| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Some((result(n), n + 1))
            }
        });
        future::ready(Replies(results.boxed()))
    }
}

/// One result for `One`, three for `Three`, any number for `Gated`, an error for `Fails` and in the middle of `Breaks`.
fn operations(gate: &Gate) -> Gateway {
    let (many, single) = (gated(gate), gate.clone());
    gateway!(channel(
        "/",
        protocol = GraphqlWs::new(),
        match key {
            "One" => async || result(1),
            "Three" => async |Json(operation): Json<Operation>| {
                assert_eq!(operation.query, "subscription Three { n }");
                assert_eq!(operation.variables, Some(json!({"most": 3})));
                Replies(stream::iter((1..=3).map(result)))
            },
            "Gated" => many,
            "Long" => async || vec![result(0); 50_000],
            "End" => async |in_flight: InFlight| {
                result(in_flight.cancel(&RequestId::new("a")).await as u64)
            },
            "Slow" => move || {
                let gate = single.clone();
                async move {
                    gate.pass().await;
                    result(1)
                }
            },
            "Fails" => async || Err::<String, _>(Error::new("sold_out", "sold out")),
            "Breaks" => async || {
                let results = [Ok(result(1)), Err(Error::RateLimited { retry_after: None })];
                Replies(stream::iter(results))
            },
            "Wrong" => async || "not an execution result",
            "subscribe" => async || result(9),
            _ => NoRoute,
        },
    ))
}

#[tokio::test]
async fn the_subprotocol_is_negotiated() {
    let server = serve(operations(&Gate::closed())).await;
    let client = open(&server).await;
    let chosen = client.response.headers().get("sec-websocket-protocol");
    assert_eq!(chosen.expect("chosen"), "graphql-transport-ws");
    let client = server.connect("/").await;
    assert!(
        !client
            .response
            .headers()
            .contains_key("sec-websocket-protocol")
    );
}

#[tokio::test]
async fn a_single_result_is_followed_by_complete() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    assert_eq!(client.ask_json(subscribe("a", "One")).await, next("a", 1));
    assert_eq!(client.json().await, complete("a"));
    client.silent().await;
}

#[tokio::test]
async fn the_results_of_a_stream_are_followed_by_complete() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a\"b", "Three").to_string()).await;
    for n in 1..=3 {
        assert_eq!(client.json().await, next("a\"b", n));
    }
    assert_eq!(client.json().await, complete("a\"b"));
    client.silent().await;
}

#[tokio::test]
async fn operations_with_different_ids_are_interleaved() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    assert_eq!(client.ask_json(subscribe("b", "One")).await, next("b", 1));
    assert_eq!(client.json().await, complete("b"));
    gate.open.add_permits(1);
    assert_eq!(client.json().await, next("a", 0));
}

#[tokio::test]
async fn an_error_ends_the_operation_without_complete() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    let errors =
        |code: &str, message: &str| json!([{"message": message, "extensions": {"code": code}}]);
    let error = client.ask_json(subscribe("a", "Fails")).await;
    let payload = errors("sold_out", "sold out");
    assert_eq!(
        error,
        json!({"id": "a", "type": "error", "payload": payload})
    );
    let error = client.ask_json(subscribe("b", "Unknown")).await;
    assert_eq!(
        error["payload"],
        errors("no_route", "no route for this key")
    );
    let error = client.ask_json(subscribe("c", "Wrong")).await;
    assert_eq!(error["payload"], errors("internal", "internal error"));
    assert_eq!(
        client.ask_json(subscribe("d", "Breaks")).await,
        next("d", 1)
    );
    let error = client.json().await;
    assert_eq!(
        (&error["id"], &error["type"]),
        (&json!("d"), &json!("error"))
    );
    assert_eq!(error["payload"][0]["extensions"]["code"], "rate_limited");
    client.silent().await;
    // The ids are free again.
    assert_eq!(client.ask_json(subscribe("d", "One")).await, next("d", 1));
}

#[tokio::test]
async fn a_ping_during_a_long_reply_is_answered_before_what_waits_for_a_slot() {
    let gate = Gate::closed();
    let many = gated(&gate);
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        protocol = GraphqlWs::new(),
        match key {
            "Gated" => many,
            "Long" => async || vec![result(0); 50_000],
            _ => NoRoute,
        },
    )))
    .await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    until("it runs", || gate.running() == 1).await;
    assert_eq!(client.ask_json(subscribe("l", "Long")).await, next("l", 0));
    client.send(subscribe("b", "Gated").to_string()).await;
    client.send(json!({"type": "ping"}).to_string()).await;
    while client.json().await != complete("l") {}
    assert_eq!(client.json().await["type"], "pong");
    client.silent().await;
}

#[tokio::test]
async fn a_ping_is_answered_at_any_time_and_a_pong_is_ignored() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = open(&server).await;
    let pong = client.ask_json(json!({"type": "ping"})).await;
    assert_eq!(pong, json!({"type": "pong"}));
    client
        .ask_json(json!({"type": "connection_init", "payload": null}))
        .await;
    // Every slot is taken.
    for id in 0..25 {
        client
            .send(subscribe(&id.to_string(), "Slow").to_string())
            .await;
    }
    until("all slots are taken", || gate.running() == 25).await;
    client
        .send(json!({"type": "pong", "payload": {"n": 1}}).to_string())
        .await;
    let pong = client
        .ask_json(json!({"type": "ping", "payload": {"at": 7}}))
        .await;
    assert_eq!(pong, json!({"type": "pong", "payload": {"at": 7}}));
}

#[tokio::test]
async fn an_operation_without_a_name_has_the_key_subscribe() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    for name in [json!(null), json!("")] {
        let payload = json!({"query": "{ n }", "operationName": name, "extensions": {"x": 1}});
        let operation = json!({"id": "a", "type": "subscribe", "payload": payload});
        assert_eq!(client.ask_json(operation).await, next("a", 9));
        assert_eq!(client.json().await, complete("a"));
    }
}

#[tokio::test]
async fn an_http_service_gets_the_operation_and_its_answer_is_the_result() {
    let graphql = post(async |axum::Json(operation): axum::Json<Value>| {
        assert_eq!(operation["query"], "subscription Quote { n }");
        axum::Json(json!({"data": {"n": operation["variables"]["most"]}}))
    });
    let service = http_service(Router::new().route("/", graphql)).await;
    let server = serve(gateway!(channel(
        "/",
        protocol = GraphqlWs::new(),
        Http::post(format!("{service}/")),
    )))
    .await;
    let mut client = ready(&server).await;
    assert_eq!(client.ask_json(subscribe("a", "Quote")).await, next("a", 3));
    assert_eq!(client.json().await, complete("a"));
}

#[tokio::test]
async fn a_function_decides_about_the_payload_of_connection_init() {
    #[derive(Deserialize)]
    struct Credentials {
        token: String,
    }
    async fn login(init: Init) -> Result<Json<Value>, Close> {
        let Credentials { token } = init.payload()?;
        match token.as_str() {
            "slow" => std::future::pending().await,
            "secret" => {
                let user = Identity::new("ada".to_owned());
                init.connection().renew(user);
                Ok(Json(json!({"hello": "ada"})))
            }
            "panic" => panic!("on purpose"),
            _ => Err(GraphqlWs::forbidden()),
        }
    }
    let server = serve(gateway!(channel(
        "/",
        protocol = GraphqlWs::new().init(login),
        async |connection: Connection| {
            let user = connection.identity::<String>().expect("logged in");
            Json(json!({"data": {"user": *user}}))
        },
    )))
    .await;
    let init = |payload: Value| json!({"type": "connection_init", "payload": payload}).to_string();
    let mut client = open(&server).await;
    let ack = client.ask(&init(json!({"token": "secret"}))).await;
    let ack: Value = serde_json::from_str(&ack).expect("JSON");
    assert_eq!(
        ack,
        json!({"type": "connection_ack", "payload": {"hello": "ada"}})
    );
    let result = client.ask_json(subscribe("a", "Me")).await;
    assert_eq!(result["payload"]["data"]["user"], "ada");

    for (payload, code, reason) in [
        (json!({"token": "wrong"}), 4403, "Forbidden"),
        (
            json!({}),
            4400,
            "Invalid message: the payload of `connection_init`",
        ),
        (json!({"token": "panic"}), 4500, "Internal server error"),
    ] {
        let mut client = open(&server).await;
        client.send(init(payload)).await;
        let close = client.closed().await;
        assert!(close.0 == code && close.1.starts_with(reason), "{close:?}");
    }
    // The acknowledgement is still awaited.
    let mut client = open(&server).await;
    client.send(init(json!({"token": "slow"}))).await;
    client.send(subscribe("a", "Me").to_string()).await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_client_closes_with_1000_and_its_operations_end() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    until("it runs", || gate.running() == 1).await;
    client.close(1000, "Normal Closure").await;
    until("its source is dropped", || gate.running() == 0).await;
}
