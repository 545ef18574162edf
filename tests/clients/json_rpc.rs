//! A service like a node of a chain, in JSON-RPC, for clients that others wrote.

use std::{process::Command, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use wasabi::{Error, Unsubscribe, prelude::*};
use wasabi_tests::{TestServer, serve};

use super::{assert_ok, clients, tools};

fn block(number: u64) -> Value {
    let hash = |number: u64| format!("0x{number:064x}");
    json!({
        "number": format!("{number:#x}"),
        "hash": hash(number),
        "parentHash": hash(number.saturating_sub(1)),
        "timestamp": format!("{:#x}", 1_700_000_000 + 12 * number),
        "nonce": "0x0000000000000000",
        "difficulty": "0x0",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x5208",
        "miner": "0x0000000000000000000000000000000000000000",
        "extraData": "0x",
        "baseFeePerGas": "0x7",
        "transactions": [],
    })
}

async fn get_block(Params((tag, _full)): Params<(String, bool)>) -> Result<Json<Value>, Error> {
    let number = match tag.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16)
            .map_err(|error| Error::invalid_params(error.to_string()))?,
        None => 16,
    };
    Ok(Json(block(number)))
}

async fn subscribe(
    Params((what,)): Params<(String,)>,
) -> Result<Replies<impl Stream<Item = Json<Value>>>, Error> {
    match what.as_str() {
        "newHeads" => Ok(Replies(stream::iter(17..).then(async |number| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Json(block(number))
        }))),
        _ => Err(Error::invalid_params("only newHeads")),
    }
}

async fn chain() -> TestServer {
    serve(gateway!(channel(
        "/",
        protocol = JsonRpc::new().subscriptions("eth_subscription"),
        match key {
            "eth_chainId" => async || Json("0x539"),
            "net_version" => async || Json("1337"),
            "eth_blockNumber" => async || Json("0x10"),
            "eth_getBlockByNumber" => get_block,
            "eth_getBalance" => async |_: Params<(String, String)>| Json("0xde0b6b3a7640000"),
            "eth_call" =>
                async || -> Result<Json<()>, Error> { Err(Error::new("3", "execution reverted")) },
            "eth_subscribe" => subscribe,
            "eth_unsubscribe" => Unsubscribe,
            _ => NoRoute,
        },
    )))
    .await
}

async fn asked_by(mut client: Command) {
    let server = chain().await;
    client.arg(server.url("/"));
    let run = tokio::task::spawn_blocking(move || assert_ok(client));
    run.await.expect("the client succeeds");
}

fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(clients().join(script));
    node
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's rpc-websockets: run tests/run"]
async fn npm_rpc_websockets_calls_and_subscribes() {
    asked_by(node("rpc_websockets.mjs")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's ethers: run tests/run"]
async fn the_websocket_provider_of_npm_ethers_follows_the_chain() {
    asked_by(node("ethers.mjs")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the client of jsonrpsee: run tests/run"]
async fn the_client_of_jsonrpsee_calls_batches_and_subscribes() {
    let program = "jsonrpsee/debug/client-of-jsonrpsee";
    asked_by(Command::new(tools().join(program))).await;
}
