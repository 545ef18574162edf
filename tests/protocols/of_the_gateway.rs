//! A protocol that the gateway sets for its channels is whole in each of them.

use serde_json::json;
use wasabi::{GraphqlWs, JsonRpc, prelude::*};
use wasabi_tests::serve;

#[tokio::test]
async fn it_joins_the_answers_of_a_batch() {
    let server = serve(gateway!(
        protocol = JsonRpc::new(),
        channel("/", async || Json(1)),
    ))
    .await;
    let mut client = server.connect("/").await;
    let call = |id| json!({"jsonrpc": "2.0", "id": id, "method": "one"});
    let answer = |id| json!({"jsonrpc": "2.0", "id": id, "result": 1});
    let answered = client.ask_json(json!([call(7), call(8)])).await;
    assert_eq!(answered, json!([answer(7), answer(8)]));
}

#[tokio::test]
async fn it_offers_its_subprotocol_and_waits_for_its_first_message() {
    let server = serve(gateway!(
        protocol = GraphqlWs::new().init_timeout(100ms),
        channel("/", NoRoute),
    ))
    .await;
    let offer = ("sec-websocket-protocol", "graphql-transport-ws");
    let mut client = server.connect_with("/", &[offer]).await.expect("open");
    let chosen = client.response.headers().get("sec-websocket-protocol");
    assert_eq!(chosen.expect("a subprotocol"), "graphql-transport-ws");
    assert_eq!(client.closed().await.0, 4408);
}
