//! A chain-like service in JSON-RPC, asked by jsonrpsee's client: `client-of-jsonrpsee ws://127.0.0.1:8080`.

use std::time::Duration;

use jsonrpsee::{
    client_transport::ws::{Url, WsTransportClientBuilder},
    core::{
        ClientError,
        client::{Client, ClientT, SubscriptionClientT},
        params::{ArrayParams, BatchRequestBuilder, ObjectParams},
    },
};
use serde_json::Value;
use tokio::time::timeout;

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(10), future)
        .await
        .expect("soon")
}

// Long: one conversation.
#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let url = Url::parse(&url).expect("a URL");
    let transport = soon(WsTransportClientBuilder::default().build(url)).await;
    let (sender, receiver) = transport.expect("connected");
    let client = Client::builder().build_with_tokio(sender, receiver);
    let mut params = ArrayParams::new();
    params.insert("0x2a").expect("JSON");
    params.insert(false).expect("JSON");
    let block: Value = soon(client.request("eth_getBlockByNumber", params))
        .await
        .expect("a block");
    assert_eq!(block["number"], "0x2a");
    soon(client.notification("eth_chainId", ObjectParams::new()))
        .await
        .expect("sent");
    for (method, code) in [
        ("eth_call", 3),
        ("eth_missing", -32601),
        ("eth_getBalance", -32602),
    ] {
        match soon(client.request::<Value, _>(method, ArrayParams::new())).await {
            Err(ClientError::Call(error)) => assert_eq!(error.code(), code, "{method}"),
            other => panic!("{method}: {other:?}"),
        }
    }
    let mut calls = BatchRequestBuilder::new();
    for number in 0..50 {
        let mut params = ArrayParams::new();
        params.insert(format!("{number:#x}")).expect("JSON");
        params.insert(false).expect("JSON");
        let method = if number == 20 {
            "eth_missing"
        } else {
            "eth_getBlockByNumber"
        };
        calls.insert(method, params).expect("JSON");
    }
    let answers = soon(client.batch_request::<Value>(calls))
        .await
        .expect("an array");
    assert_eq!(
        (answers.num_successful_calls(), answers.num_failed_calls()),
        (49, 1)
    );
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(block) => assert_eq!(block["number"], format!("{number:#x}")),
            Err(error) => assert_eq!((number, error.code()), (20, -32601)),
        }
    }
    let mut heads = ArrayParams::new();
    heads.insert("newHeads").expect("JSON");
    let mut heads = soon(client.subscribe::<Value, _>("eth_subscribe", heads, "eth_unsubscribe"))
        .await
        .expect("a subscription");
    for number in 17..20 {
        let head = soon(heads.next()).await.expect("open").expect("a head");
        assert_eq!(head["number"], format!("{number:#x}"));
    }
    soon(heads.unsubscribe()).await.expect("it ends");
    let number: String = soon(client.request("eth_blockNumber", ArrayParams::new()))
        .await
        .expect("a number");
    assert_eq!(number, "0x10");
}
