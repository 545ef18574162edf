//! `complete` of the client, and what ends an operation in its place.

use serde_json::json;
use wasabi_tests::{Gate, serve, until};

use super::{complete, next, operations, ready, subscribe};

#[tokio::test]
async fn complete_of_the_client_ends_a_stream_and_no_further_event_is_sent() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    gate.open.add_permits(1);
    assert_eq!(client.json().await, next("a", 0));
    client.send(complete("a").to_string()).await;
    until("the source is dropped", || gate.running() == 0).await;
    gate.open.add_permits(1);
    client.silent().await;
    // The id is free again.
    assert_eq!(client.ask_json(subscribe("a", "Gated")).await, next("a", 0));
}

#[tokio::test]
async fn complete_of_the_client_ends_a_single_result_operation_before_it_resolves() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Slow").to_string()).await;
    until("it runs", || gate.running() == 1).await;
    client.send(complete("a").to_string()).await;
    until("it is dropped", || gate.running() == 0).await;
    gate.open.add_permits(1);
    client.silent().await;
}

#[tokio::test]
async fn an_operation_that_a_function_cancels_ends_with_an_error() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    until("it runs", || gate.running() == 1).await;
    let error = client.ask_json(subscribe("b", "End")).await;
    assert_eq!(
        (&error["id"], &error["type"]),
        (&json!("a"), &json!("error"))
    );
    assert_eq!(error["payload"][0]["extensions"]["code"], "cancelled");
    assert_eq!(client.json().await, next("b", 1));
    assert_eq!(client.json().await, complete("b"));
    client.silent().await;
}

#[tokio::test]
async fn an_id_completed_during_a_long_reply_is_free_at_once() {
    let gate = Gate::closed();
    let server = serve(operations(&gate)).await;
    let mut client = ready(&server).await;
    client.send(subscribe("a", "Gated").to_string()).await;
    until("it runs", || gate.running() == 1).await;
    assert_eq!(client.ask_json(subscribe("l", "Long")).await, next("l", 0));
    client.send(complete("a").to_string()).await;
    client.send(subscribe("a", "One").to_string()).await;
    while client.json().await != complete("l") {}
    assert_eq!(client.json().await, next("a", 1));
    assert_eq!(client.json().await, complete("a"));
    client.silent().await;
}

#[tokio::test]
async fn complete_of_an_unknown_id_is_ignored() {
    let server = serve(operations(&Gate::closed())).await;
    let mut client = ready(&server).await;
    client.send(complete("a").to_string()).await;
    client.send(subscribe("a", "One").to_string()).await;
    assert_eq!(client.json().await, next("a", 1));
    assert_eq!(client.json().await, complete("a"));
    client.send(complete("a").to_string()).await;
    client.silent().await;
}
