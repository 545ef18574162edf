//! Messages on the wire beside the AsyncAPI document of their gateway, for `asyncapi.mjs`.

use std::process::Command;

use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasabi::{Error, GraphqlWs, Kept, Subscriptions, Unsubscribe, prelude::*};
use wasabi_tests::{Client, TestServer, serve};

use super::{assert_ok, clients};

/// Fails unless the official parser reads the document, and each sample is valid against the message that it is of.
pub(super) fn check(document: &std::path::Path, samples: &std::path::Path) {
    let mut node = Command::new("node");
    node.arg(clients().join("asyncapi.mjs"))
        .args([document, samples]);
    assert_ok(node);
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    item: String,
    #[serde(default)]
    count: u32,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    price: u64,
}

#[derive(Serialize, JsonSchema)]
struct Data {
    data: u32,
}

async fn order(Params(order): Params<Order>) -> Result<Json<Receipt>, Error> {
    match &*order.item {
        "tea" => Ok(Json(Receipt {
            price: u64::from(order.count) * 3,
        })),
        _ => Err(Error::new("sold_out", "sold out")),
    }
}

async fn orders() -> Vec<Json<Receipt>> {
    vec![Json(Receipt { price: 3 })]
}

async fn ticks() -> Replies<impl Stream<Item = Result<Json<Receipt>, Error>>> {
    let broken = Err(Error::new("broken", "broken"));
    Replies(stream::iter([Ok(Json(Receipt { price: 3 })), broken]))
}

async fn countdown() -> Replies<impl Stream<Item = Json<Data>>> {
    Replies(stream::iter([Json(Data { data: 1 })]))
}

async fn may(_: Connection, _: String) -> Result<()> {
    Ok(())
}

fn gateway(rooms: Registry) -> Gateway {
    gateway!(
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            match key {
                "order" => order,
                "orders" => orders,
                "ticks" => ticks,
                "stop" => Unsubscribe,
                "forget" => async || (),
                _ => NoRoute,
            },
        ),
        channel(
            "/graphql",
            protocol = GraphqlWs::new(),
            match key {
                "Countdown" => countdown,
                "Fails" => async || Err::<Json<Data>, _>(Error::new("sold_out", "sold out")),
                "subscribe" => async || (),
                _ => NoRoute,
            },
        ),
        channel(
            "/rooms",
            registry = rooms.clone(),
            groups = [
                Kept::prefix("live:").enveloped().announced(),
                Kept::prefix("room:").enveloped(),
            ],
            parser = JsonKey::at("/do").id("/id"),
            match key {
                "follow" => Subscriptions::new(rooms, may),
                _ => NoRoute,
            },
        ),
    )
}

/// Messages, and the names of those in the document that they are of.
#[derive(Default)]
struct Samples(serde_json::Map<String, Value>);

impl Samples {
    fn add(&mut self, name: &str, sample: Value) {
        let list = self.0.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(sample);
        }
    }

    /// Sends a request, and reads the replies to it.
    async fn ask(&mut self, client: &mut Client, name: &str, request: Value, replies: &[&str]) {
        client.send(request.to_string()).await;
        self.add(name, request);
        for name in replies {
            let reply = client.json().await;
            self.add(name, reply);
        }
    }
}

async fn rpc(server: &TestServer) -> Samples {
    let mut rpc = Samples::default();
    let mut client = server.connect("/rpc").await;
    let call = |id: Value, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    for (name, request, replies) in [
        (
            "order",
            call(json!(1), "order", json!({ "item": "tea", "count": 2 })),
            &["Receipt"][..],
        ),
        (
            "order",
            call(json!("a"), "order", json!(["tea", 2])),
            &["Receipt"],
        ),
        (
            "order",
            call(json!(null), "order", json!({ "item": "milk" })),
            &["error"],
        ),
        (
            "orders",
            call(json!(2), "orders", json!([])),
            &["Receipt.list"],
        ),
        (
            "forget",
            json!({ "jsonrpc": "2.0", "id": 3, "method": "forget" }),
            &["null"],
        ),
        (
            "forget",
            json!({ "jsonrpc": "2.0", "method": "forget" }),
            &[],
        ),
        (
            "ticks",
            call(json!(4), "ticks", json!(null)),
            &[
                "subscription",
                "Receipt.notification",
                "Receipt.notification",
            ],
        ),
        ("stop", call(json!(5), "stop", json!(["0x0"])), &["bool"]),
        ("undescribed", call(json!(6), "none", json!({})), &["error"]),
        (
            "undescribed",
            json!({ "jsonrpc": "1.0", "id": 6 }),
            &["error"],
        ),
    ] {
        rpc.ask(&mut client, name, request, replies).await;
    }
    rpc
}

async fn graphql(server: &TestServer) -> Samples {
    let mut graphql = Samples::default();
    let subprotocol = ("sec-websocket-protocol", "graphql-transport-ws");
    let client = server.connect_with("/graphql", &[subprotocol]).await;
    let mut client = client.expect("a client");
    client.ask_json(json!({ "type": "connection_init" })).await;
    let subscribe = |payload: Value| json!({ "id": "a", "type": "subscribe", "payload": payload });
    for (name, payload, replies) in [
        (
            "Countdown",
            json!({ "query": "subscription Countdown { n }", "operationName": "Countdown", "variables": {} }),
            &["Data", "complete"][..],
        ),
        (
            "Fails",
            json!({ "query": "query Fails { n }", "operationName": "Fails" }),
            &["error"],
        ),
        ("subscribe", json!({ "query": "{ n }" }), &["complete"]),
        (
            "subscribe",
            json!({ "query": "{ n }", "operationName": null }),
            &["complete"],
        ),
        (
            "undescribed",
            json!({ "query": "{ n }", "operationName": "Other" }),
            &["error"],
        ),
    ] {
        graphql
            .ask(&mut client, name, subscribe(payload), replies)
            .await;
    }
    graphql
}

async fn rooms(server: &TestServer, registry: &Registry) -> Samples {
    let mut rooms = Samples::default();
    let mut client = server.connect("/rooms").await;
    let follow = |more: Value| {
        let mut ask = json!({ "do": "follow", "id": 1, "group": "room:1" });
        for (name, value) in more.as_object().into_iter().flatten() {
            ask[name] = value.clone();
        }
        ask
    };
    rooms
        .ask(&mut client, "follow", follow(json!({})), &["Followed"])
        .await;
    let text = Message::text("a text");
    for message in [
        Message::text(r#"{"gap":true}"#),
        text,
        Message::binary("data"),
    ] {
        let published = registry.group("room:1").publish(message).await;
        published.elsewhere.expect("it is published");
        let said = client.json().await;
        rooms.add("published", said);
    }
    for (more, replies) in [
        (json!({ "who": true }), &["Followed"][..]),
        (json!({ "who": true, "after": null }), &["Followed"]),
        (json!({ "group": "other" }), &["error"]),
        (json!({ "since": "5-7", "follow": true }), &["Followed"]),
        (json!({ "follow": false }), &["Followed"]),
        (json!({ "group": "live:1" }), &["Followed", "presence"]),
    ] {
        rooms
            .ask(&mut client, "follow", follow(more), replies)
            .await;
    }
    rooms.add("gap", json!({ "group": "room:1", "gap": true }));
    rooms.add("presence", json!({ "group": "live:1", "unsure": true }));
    rooms
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's @asyncapi/parser: run tests/run"]
async fn messages_of_protocols_and_groups_are_as_their_document_says() {
    let registry = Registry::new();
    let gateway = gateway(registry.clone());
    let document = gateway.asyncapi().to_yaml();
    let server = serve(gateway).await;

    let (rpc, graphql) = (rpc(&server).await, graphql(&server).await);
    let rooms = rooms(&server, &registry).await;
    let folder = std::env::temp_dir().join(format!("wasabi-asyncapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (yaml, samples) = (folder.join("asyncapi.yaml"), folder.join("samples.json"));
    std::fs::write(&yaml, document).expect("a document");
    let all = json!({ "rpc": rpc.0, "graphql": graphql.0, "rooms": rooms.0 });
    std::fs::write(&samples, all.to_string()).expect("samples");
    let checked = tokio::task::spawn_blocking(move || check(&yaml, &samples));
    checked.await.expect("each is valid");
    let _ = std::fs::remove_dir_all(folder);
}
