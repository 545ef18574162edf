//! Targets whose messages the application declares.

use axum::{Router, routing::post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasabi::{
    BoxBackend, Error, JsonRpc, Kept, Params, RouteTable, Subscriptions, Typed,
    prelude::*,
    queue::{Memory, Queue},
    schema::{Count, Source},
};
use wasabi_tests::{http_service, serve};

use super::document::{message, replies};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    item: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Receipt {
    price: u64,
}

/// A backend of the application.
struct Mine;

impl Backend for Mine {
    async fn call(&self, _: Request, _: &()) -> Result {
        Err(Error::new("mine", "never"))
    }
}

/// A target of each kind.
fn targets() -> Gateway {
    let table: RouteTable = RouteTable::new().route(
        "table",
        BoxBackend::new(Http::post("http://orders/").typed::<Json<Order>, Json<Receipt>>()),
    );
    gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "http" => Http::post("http://orders/")
                .timeout(1s)
                .typed::<Json<Order>, Json<Receipt>>(),
            "socket" => WebSocket::connect("ws://orders/").typed::<Json<Order>, Json<Receipt>>(),
            "queue" => Queue::new(Memory::new(), "orders").typed::<Json<Order>, Json<Receipt>>(),
            "mine" => with(
                [Timeout::new(1s)],
                Typed::new::<Json<Order>, Json<Receipt>>(Mine),
            ),
            "nodes" => balance([
                (
                    3,
                    Http::post("http://a/").typed::<Json<Order>, Json<Receipt>>()
                ),
                (
                    1,
                    Http::post("http://b/").typed::<Json<Order>, Json<Receipt>>()
                ),
            ]),
            _ => table,
        },
    ))
}

#[test]
fn each_target_says_what_it_takes_and_answers() {
    let gateway = targets();
    assert!(gateway.check().is_ok());
    let document = gateway.asyncapi().to_value();
    let operations = gateway.operations().iter();
    let operations: Vec<_> = operations.filter(|one| one.route() != "_").collect();
    assert_eq!(operations.len(), 6);
    for operation in operations {
        for answer in operation.answers() {
            let [input] = &answer.inputs[..] else {
                panic!("{operation:?}")
            };
            assert_eq!(input.source, Source::Json);
            let schema = input.schema().expect("a schema");
            assert_eq!(schema["required"], json!(["item"]));
            assert_eq!(answer.output.count, Count::One);
            assert!(answer.is_typed);
        }
    }
    for key in ["http", "socket", "queue", "mine", "nodes", "table"] {
        assert_eq!(
            replies(&document, &format!("root.{key}")),
            ["Receipt", "error"],
            "{key}"
        );
        let payload = &message(&document, "root", key)["payload"];
        let [order, own] = [&payload["allOf"][0], &payload["allOf"][1]];
        assert_eq!(order["$ref"], "#/components/schemas/Order", "{key}");
        assert_eq!(own["properties"]["key"], json!({ "const": key }));
    }
    let [http, .., _] = gateway.operations() else {
        panic!("routes")
    };
    assert_eq!(http.answers()[0].target, r#"Http::post("http://orders/")"#);
    assert!(http.codes().contains("upstream_unreachable"));
}

async fn may(_: Connection, _: String) -> Result<()> {
    Ok(())
}

#[test]
fn the_route_by_which_clients_follow_groups_says_what_it_takes_and_answers_and_how_it_fails() {
    let of = |kept: [Kept; 2]| {
        let registry = Registry::new();
        gateway!(channel(
            "/",
            registry = registry.clone(),
            groups = kept,
            parser = JsonKey::at("/do").id("/id"),
            match key {
                "follow" => Subscriptions::new(registry, may),
                _ => NoRoute,
            },
        ))
    };
    let rooms = || Kept::prefix("room:");
    let gateway = of([rooms().enveloped().announced(), Kept::all().enveloped()]);
    assert_eq!(gateway.check(), Ok(()));
    let [follow, _] = gateway.operations() else {
        panic!("routes")
    };
    for code in ["bad_request", "not_followed", "not_kept", "too_many_groups"] {
        assert!(follow.codes().contains(code), "{code}");
    }
    assert!(follow.codes().is_open());
    let document = gateway.asyncapi().to_value();
    let payload = &message(&document, "root", "follow")["payload"];
    assert_eq!(
        payload["allOf"][1]["properties"]["do"],
        json!({ "const": "follow" })
    );
    assert_eq!(payload["allOf"][0]["required"], json!(["group"]));
    assert_eq!(replies(&document, "root.follow"), ["Followed", "error"]);
    let sent = |document: &serde_json::Value| {
        let names = ["published", "gap", "presence"];
        names.map(|name| document["operations"][format!("root.{name}")]["action"] == "send")
    };
    assert_eq!(sent(&document), [true; 3]);
    assert!(gateway.typescript().contains(r#"kind: "follows";"#));

    // Messages without their group can be told from no others, and nobody but the application tells its own gaps.
    for kept in [
        rooms().stamp("at"),
        rooms().enveloped().stamp("at"),
        rooms().enveloped().on_gap(|_, _| {}),
    ] {
        let gateway = of([kept, Kept::all().enveloped()]);
        assert!(!gateway.typescript().contains(r#"kind: "follows";"#));
        assert!(!gateway.typescript().contains("follow<"));
        assert!(!gateway.rust().contains("-> Following"));
        for file in [gateway.typescript(), gateway.rust()] {
            let why = "because the channel has no kept groups, or not all of them are `enveloped`.";
            assert!(file.contains(why), "{file}");
        }
    }
    let document = of([rooms(), Kept::all()]).asyncapi().to_value();
    assert_eq!(sent(&document), [false; 3]);
}

#[test]
fn a_target_under_a_protocol_takes_parameters() {
    let gateway = gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        match key {
            "place" => Http::post("http://orders/").typed::<Params<Order>, Json<Receipt>>(),
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let call = &message(&document, "root", "place")["payload"]["properties"];
    assert_eq!(call["method"], json!({ "const": "place" }));
    assert!(call["params"].is_object());
}

#[test]
fn a_target_that_sends_no_reply_or_many_says_so() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "none" => Http::post("http://a/").typed::<Json<Order>, ()>(),
            "some" => Http::post("http://a/").typed::<Text, Option<Text>>(),
            "many" => Http::post("http://a/").typed::<Binary, Vec<Json<Receipt>>>(),
            _ => NoRoute,
        },
    ));
    let counts = gateway
        .operations()
        .iter()
        .map(|one| one.answers()[0].output.count);
    let counts: Vec<_> = counts.collect();
    assert_eq!(
        counts,
        [
            Count::None,
            Count::AtMostOne,
            Count::Many,
            Count::OnlyErrors
        ]
    );
}

#[tokio::test]
async fn nothing_changes_at_run_time() {
    let url = http_service(Router::new().route(
        "/",
        post(async |body: String| axum::Json(json!({ "got": body }))),
    ))
    .await;
    let server = serve(gateway!(channel(
        "/",
        Http::post(url).typed::<Json<Order>, Json<Receipt>>(),
    )))
    .await;
    let mut client = server.connect("/").await;
    // The message is not an order, and the answer no receipt.
    assert_eq!(client.ask("tea").await, r#"{"got":"tea"}"#);
}

#[test]
fn a_queue_that_only_publishes_has_no_reply() {
    let orders = Queue::new(Memory::new(), "orders");
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "view" => orders.clone().no_reply(),
            "place" => orders,
            _ => NoRoute,
        },
    ));
    let counts = gateway
        .operations()
        .iter()
        .map(|each| each.answers()[0].output.count);
    let counts: Vec<_> = counts.take(2).collect();
    assert_eq!(counts, [Count::None, Count::Unknown]);
    let document = gateway.asyncapi().to_value();
    assert_eq!(replies(&document, "root.view"), [""; 0]);
    assert_eq!(replies(&document, "root.place"), ["undescribed", "error"]);
}
