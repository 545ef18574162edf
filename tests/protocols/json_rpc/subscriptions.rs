//! Subscriptions and cancellation, which the specification does not know.

use serde_json::json;

use super::{ask, batches::batch, client, code};

#[tokio::test]
async fn a_stream_is_a_subscription_and_its_error_is_not_a_second_response() {
    let (_server, mut client) = client().await;
    let answer = ask(&mut client, "count", json!({"params": [5]})).await;
    let id = answer["result"].clone();
    assert!(id.is_string(), "{answer}");
    for n in 0..3 {
        assert_eq!(
            client.json().await,
            json!({"jsonrpc": "2.0", "method": "counted", "params": {"subscription": id, "result": n}})
        );
    }
    let last = client.json().await;
    assert_eq!(last.get("id"), None, "{last}");
    assert_eq!(last["params"]["subscription"], id);
    assert_eq!(last["params"]["error"]["data"]["code"], "too_far");
    let other = ask(&mut client, "count", json!({"params": [0]})).await;
    assert_ne!(other["result"], id);
    client.silent().await;
}

#[tokio::test]
async fn a_subscription_ends_when_the_client_unsubscribes_and_is_known_to_its_connection_only() {
    let (server, mut client) = client().await;
    let mut other = server.connect("/").await;
    let id = ask(&mut client, "forever", json!({})).await["result"].clone();
    assert_eq!(client.json().await["params"]["result"], 0);
    for params in [json!(["0x0"]), json!([]), json!([1]), json!({"a": 1})] {
        let answer = ask(&mut client, "unsubscribe", json!({ "params": params })).await;
        assert_ne!(answer["result"], true, "{answer}");
    }
    let foreign = ask(&mut other, "unsubscribe", json!({"params": [id]})).await;
    assert_eq!(foreign["result"], false);
    let ended = ask(
        &mut client,
        "unsubscribe",
        json!({"params": {"subscription": id}}),
    )
    .await;
    assert_eq!(ended, json!({"jsonrpc": "2.0", "id": 1, "result": true}));
    let again = ask(&mut client, "unsubscribe", json!({"params": [id]})).await;
    assert_eq!(again["result"], false);
    client.silent().await;
}

// Cancellation

#[tokio::test]
async fn a_notification_cancels_a_request_by_its_id_of_any_kind() {
    let (_server, mut client) = client().await;
    for (id, params) in [(json!(7), json!({"id": 7})), (json!("a"), json!(["a"]))] {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "never"});
        client.send(call.to_string()).await;
        let cancel = json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": params});
        client.send(cancel.to_string()).await;
        let answer = client.json().await;
        assert_eq!((code(&answer), &answer["id"]), (-32000, &id));
        assert_eq!(answer["error"]["data"]["code"], "cancelled");
    }
    // The id of an answered request is free again, also while its subscription goes on.
    ask(&mut client, "forever", json!({"id": 7})).await;
    client.json().await;
    let calls = json!([
        {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 7}},
        {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {}},
        {"jsonrpc": "2.0", "method": "unit", "id": 9},
    ]);
    let answers = batch(&mut client, calls).await;
    assert_eq!(
        answers,
        [json!({"jsonrpc": "2.0", "id": 9, "result": null})]
    );
    client.silent().await;
}
