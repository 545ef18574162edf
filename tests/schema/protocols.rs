//! What the AsyncAPI document says of channels with a protocol. `clients.rs` compares it with messages on the wire.

use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasabi::{
    Call, Decoded, Envelope, Error, GraphqlWs, Incoming, JsonRpc, Params, Protocol, RequestId,
    Unsubscribe, prelude::*,
};

use super::document::{message, replies};

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Order {
    item: String,
    #[serde(default)]
    count: u32,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    price: u64,
}

async fn order(_: Params<Order>) -> Json<Receipt> {
    Json(Receipt { price: 3 })
}

async fn orders(_: Option<Params<Order>>) -> Vec<Json<Receipt>> {
    Vec::new()
}

async fn ticks(_: Params<(u64,)>) -> Replies<impl Stream<Item = Json<Receipt>>> {
    Replies(stream::iter([Json(Receipt { price: 3 })]))
}

fn rpc() -> Value {
    let gateway = gateway!(channel(
        "/rpc",
        protocol = JsonRpc::new().subscriptions("tick").max_batch(5),
        match key {
            "order" => order,
            "orders" => orders,
            "ticks" => ticks,
            "stop" => Unsubscribe,
            "forget" => async || (),
            "text" => async || "3",
            _ => NoRoute,
        },
    ));
    gateway.asyncapi().to_value()
}

#[test]
fn a_call_of_json_rpc_has_its_method_and_its_parameters_by_name_or_by_position() {
    let document = rpc();
    let order = message(&document, "rpc", "order");
    assert_eq!(order["contentType"], "application/json");
    assert!(!order["correlationId"].is_null());
    let payload = &order["payload"];
    assert_eq!(payload["required"], json!(["jsonrpc", "method", "params"]));
    let members = &payload["properties"];
    assert_eq!(members["jsonrpc"], json!({ "const": "2.0" }));
    assert_eq!(members["method"], json!({ "const": "order" }));
    assert_eq!(
        members["params"],
        json!({ "anyOf": [{ "$ref": "#/components/schemas/Order" }, { "type": "array" }] })
    );
    let ticks = &message(&document, "rpc", "ticks")["payload"];
    assert_eq!(ticks["properties"]["params"]["maxItems"], 1);
    assert_eq!(ticks["required"], json!(["jsonrpc", "method", "params"]));
    // Parameters that may be left out.
    let orders = &message(&document, "rpc", "orders")["payload"];
    assert_eq!(orders["required"], json!(["jsonrpc", "method"]));
}

#[test]
fn a_reply_of_json_rpc_is_the_result_in_its_envelope() {
    let document = rpc();
    assert_eq!(replies(&document, "rpc.order"), ["Receipt", "error"]);
    let receipt = message(&document, "rpc", "Receipt");
    assert!(!receipt["correlationId"].is_null());
    let payload = &receipt["payload"];
    assert_eq!(payload["required"], json!(["jsonrpc", "id", "result"]));
    let result = json!({ "$ref": "#/components/schemas/Receipt" });
    assert_eq!(payload["properties"]["result"], result);

    assert_eq!(replies(&document, "rpc.orders"), ["Receipt.list", "error"]);
    let list = &message(&document, "rpc", "Receipt.list")["payload"]["properties"]["result"];
    assert_eq!(*list, json!({ "type": "array", "items": result }));

    // A call with an id is answered even if the function returns nothing.
    assert_eq!(replies(&document, "rpc.forget"), ["null", "error"]);
    // A text that is JSON becomes the result.
    assert_eq!(replies(&document, "rpc.text"), ["result", "error"]);
    let text = &message(&document, "rpc", "result")["payload"]["properties"]["result"];
    assert_eq!(*text, json!({}));
}

#[test]
fn a_stream_of_json_rpc_is_a_subscription_and_its_notifications() {
    let document = rpc();
    let names = replies(&document, "rpc.ticks");
    assert_eq!(names, ["subscription", "Receipt.notification", "error"]);
    let id = &message(&document, "rpc", "subscription")["payload"]["properties"]["result"];
    assert_eq!(*id, json!({ "type": "string" }));
    let notification = message(&document, "rpc", "Receipt.notification");
    assert!(notification["correlationId"].is_null());
    let members = &notification["payload"]["properties"];
    assert_eq!(members["method"], json!({ "const": "tick" }));
    assert_eq!(
        members["params"]["properties"]["result"],
        json!({ "$ref": "#/components/schemas/Receipt" })
    );
    let notes = &document["operations"]["rpc.stop"]["x-wasabi"]["notes"];
    assert!(notes.is_null(), "{notes}");
}

#[test]
fn an_error_of_json_rpc_has_a_number_and_our_code() {
    let document = rpc();
    let error = message(&document, "rpc", "error");
    let members = &error["payload"]["properties"];
    assert_eq!(members["id"]["type"], json!(["string", "number", "null"]));
    let inner = &members["error"]["properties"];
    assert_eq!(inner["code"], json!({ "type": "integer" }));
    let codes = inner["data"]["properties"]["code"]["enum"].as_array();
    let codes = codes.expect("closed codes");
    assert!(codes.contains(&json!("invalid_params")) && codes.contains(&json!("no_key")));
    let more = &document["channels"]["rpc"]["x-wasabi"];
    assert_eq!(more["protocol"], "JSON-RPC 2.0");
    assert_eq!(more["limits"]["max_batch"], 5);
}

#[derive(Serialize, JsonSchema)]
struct Countdown {
    data: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Query {
    variables: Option<Order>,
}

#[test]
fn an_operation_of_graphql_is_in_its_envelope() {
    let gateway = gateway!(channel(
        "/graphql",
        protocol = GraphqlWs::new(),
        match key {
            "Countdown" => async |_: Json<Query>| Json(Countdown { data: Some(3) }),
            "subscribe" => async || (),
            _ => Http::post("http://graphql:4000/"),
        },
    ));
    let document = gateway.asyncapi().to_value();
    let countdown = &message(&document, "graphql", "Countdown")["payload"];
    assert_eq!(countdown["required"], json!(["id", "type", "payload"]));
    assert_eq!(
        countdown["properties"]["type"],
        json!({ "const": "subscribe" })
    );
    let [own, query] = [0, 1].map(|n| &countdown["properties"]["payload"]["allOf"][n]);
    assert_eq!(*own, json!({ "$ref": "#/components/schemas/Query" }));
    assert_eq!(query["required"], json!(["query", "operationName"]));
    let name = &query["properties"]["operationName"];
    assert_eq!(*name, json!({ "const": "Countdown" }));
    let unnamed = &message(&document, "graphql", "subscribe")["payload"];
    assert_eq!(
        unnamed["properties"]["payload"]["required"],
        json!(["query"])
    );

    let names = replies(&document, "graphql.Countdown");
    assert_eq!(names, ["Countdown_2", "complete", "error"]);
    let next = &message(&document, "graphql", "Countdown_2")["payload"]["properties"];
    assert_eq!(next["type"], json!({ "const": "next" }));
    assert_eq!(
        next["payload"],
        json!({ "$ref": "#/components/schemas/Countdown" })
    );
    let names = replies(&document, "graphql.subscribe");
    assert_eq!(names, ["complete", "error"]);
    let error = &message(&document, "graphql", "error")["payload"]["properties"];
    assert_eq!(error["payload"]["type"], "array");
    let more = &document["channels"]["graphql"]["x-wasabi"];
    assert_eq!(more["protocol"], "graphql-transport-ws");
    // An invalid message closes the connection.
    assert!(more["unreadable"].is_null());
}

/// A protocol of the application.
struct Numbered;

impl Protocol for Numbered {
    fn read<'m>(&self, _: &'m Message, _: &Connection) -> Result<Incoming<'m>> {
        Ok(Incoming::Request(Envelope::new("a")))
    }

    fn reply(&self, _: &Call<'_>, reply: Reply) -> Result<Reply> {
        Ok(reply)
    }

    fn error(&self, _: &Error, _: Option<&RequestId>) -> Reply {
        Reply::none()
    }
}

#[test]
fn a_protocol_that_does_not_say_what_it_writes_leaves_every_message_open() {
    let own = gateway!(channel(
        "/",
        protocol = Numbered,
        match key {
            "a" => async |_: Json<Order>| Json(Receipt { price: 3 }),
            "b" => async || (),
            _ => NoRoute,
        }
    ));
    let relay = gateway!(channel(
        "/",
        protocol = GraphqlWs::relay(),
        match key {
            "a" => async |_: Json<Order>| Json(Receipt { price: 3 }),
            "b" => async || (),
            _ => WebSocket::connect("ws://graphql:4000/"),
        }
    ));
    let decoded = gateway!(channel(
        "/",
        protocol = Decoded::with(
            |message: &Message, _: &Connection| Ok(message.clone()),
            JsonRpc::new()
        ),
        match key {
            "a" => async |_: Json<Order>| Json(Receipt { price: 3 }),
            "b" => async || (),
            _ => NoRoute,
        }
    ));
    let unsaid = "the protocol does not say what its messages are";
    let said = "messages are decoded by a function of the application (`Decoded`): their form on the wire is not known here";
    for (gateway, note) in [(own, unsaid), (relay, unsaid), (decoded, said)] {
        let document = gateway.asyncapi().to_value();
        let notes = &document["operations"]["root.a"]["x-wasabi"]["notes"];
        assert_eq!(*notes, json!([note]));
        let messages = &document["channels"]["root"]["messages"];
        for (name, message) in messages.as_object().expect("messages") {
            assert_eq!(message["payload"], json!({}), "{name}");
            assert!(message["contentType"].is_null(), "{name}");
        }
        assert_eq!(replies(&document, "root.a"), ["undescribed", "error"]);
        assert_eq!(replies(&document, "root.b"), ["undescribed", "error"]);
    }
}

#[test]
fn what_a_parser_decodes_first_is_open() {
    let gateway = gateway!(channel(
        "/",
        parser = Decoded::with(
            |message: &Message, _: &Connection| Ok(message.clone()),
            JsonKey::at("/do")
        ),
        match key {
            "a" => async |_: Json<Order>| Json(Receipt { price: 3 }),
            _ => NoRoute,
        }
    ));
    let document = gateway.asyncapi().to_value();
    let request = message(&document, "root", "a");
    assert_eq!(
        (&request["payload"], &request["contentType"]),
        (&json!({}), &Value::Null)
    );
}

#[test]
fn a_protocol_of_the_whole_gateway_is_described_as_well() {
    let gateway = gateway!(
        protocol = JsonRpc::new(),
        channel(
            "/rpc",
            match key {
                "order" => order,
                _ => NoRoute,
            }
        ),
    );
    let document = gateway.asyncapi().to_value();
    let order = &message(&document, "rpc", "order")["payload"]["properties"];
    assert_eq!(order["method"], json!({ "const": "order" }));
}
