//! The close codes of the protocol.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{GraphqlWs, prelude::*};
use wasabi_tests::{Gate, serve, until};

use super::{complete, open, operations, ready, subscribe};

#[tokio::test]
async fn no_connection_init_in_time_is_4408() {
    let server = serve(gateway!(channel(
        "/",
        protocol = GraphqlWs::new().init_timeout(100ms),
        NoRoute,
    )))
    .await;
    let mut late = open(&server).await;
    let mut in_time = ready(&server).await;
    // Other messages do not count.
    late.ask_json(json!({"type": "ping"})).await;
    let close = late.closed().await;
    assert_eq!(
        close,
        (4408, "Connection initialisation timeout".to_owned())
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    in_time.ask_json(json!({"type": "ping"})).await;
}

#[tokio::test]
async fn a_second_connection_init_is_4429() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    client
        .send(json!({"type": "connection_init"}).to_string())
        .await;
    let close = client.closed().await;
    assert_eq!(close, (4429, "Too many initialisation requests".to_owned()));
}

#[tokio::test]
async fn an_operation_before_the_acknowledgement_is_4401() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = open(&server).await;
    client.send(subscribe("a", "One").to_string()).await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn an_id_that_is_in_flight_is_4409_and_ends_everything() {
    for first in ["Gated", "Slow"] {
        let gate = Gate::closed();
        let server = serve(operations(&gate)).await;
        let mut client = ready(&server).await;
        client.send(subscribe("a", first).to_string()).await;
        client.send(subscribe("b", first).to_string()).await;
        until("both run", || gate.running() == 2).await;
        client.send(subscribe("a", "One").to_string()).await;
        let close = client.closed().await;
        assert_eq!(close, (4409, "Subscriber for a already exists".to_owned()));
        until("none runs", || gate.running() == 0).await;
    }
}

#[tokio::test]
async fn an_id_that_waits_for_a_slot_is_4409_too() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    for id in 0..=25 {
        client
            .send(subscribe(&id.to_string(), "Slow").to_string())
            .await;
    }
    until("all slots are taken", || gate.running() == 25).await;
    client.send(subscribe("25", "One").to_string()).await;
    assert_eq!(client.closed().await.0, 4409);
}

#[tokio::test]
async fn an_invalid_message_is_4400() {
    let server = serve(operations(&Gate::closed())).await;
    let payload = json!({"query": "{ n }"});
    let with = |name: &str, value: serde_json::Value| {
        let mut payload = payload.clone();
        payload[name] = value;
        json!({"id": "a", "type": "subscribe", "payload": payload}).to_string()
    };
    let messages = [
        "no JSON".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"type": 7}).to_string(),
        json!({"type": "start"}).to_string(),
        json!({"type": "next", "id": "a", "payload": {}}).to_string(),
        json!({"type": "error", "id": "a", "payload": []}).to_string(),
        json!({"type": "connection_ack"}).to_string(),
        json!({"type": "connection_init", "payload": "token"}).to_string(),
        json!({"type": "ping", "payload": 7}).to_string(),
        json!({"type": "pong", "payload": []}).to_string(),
        json!({"type": "complete"}).to_string(),
        json!({"type": "complete", "id": 7}).to_string(),
        json!({"type": "complete", "id": ""}).to_string(),
        json!({"type": "subscribe", "payload": payload}).to_string(),
        json!({"type": "subscribe", "id": 7, "payload": payload}).to_string(),
        json!({"type": "subscribe", "id": "a"}).to_string(),
        json!({"type": "subscribe", "id": "a", "payload": null}).to_string(),
        json!({"type": "subscribe", "id": "a", "payload": {}}).to_string(),
        with("query", json!(7)),
        with("operationName", json!(7)),
        with("variables", json!([])),
        with("extensions", json!("x")),
    ];
    for message in messages {
        let mut client = ready(&server).await;
        client.send(message.clone()).await;
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4400, "{message}");
        assert!(
            reason.starts_with("Invalid message: "),
            "{message}: {reason}"
        );
    }
    let mut client = ready(&server).await;
    client
        .send(Frame::binary(json!({"type": "ping"}).to_string()))
        .await;
    assert_eq!(client.closed().await.0, 4400);
}

#[tokio::test]
async fn values_that_the_text_allows_to_be_null_may_be_null() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    client
        .send(json!({"type": "ping", "payload": null}).to_string())
        .await;
    assert_eq!(client.json().await, json!({"type": "pong"}));
    let payload =
        json!({"query": "{ n }", "operationName": null, "variables": null, "extensions": null});
    client
        .send(json!({"id": "a", "type": "subscribe", "payload": payload}).to_string())
        .await;
    assert_eq!(client.json().await["type"], "next");
    assert_eq!(client.json().await, complete("a"));
}
