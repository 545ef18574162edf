//! A function composes calls over HTTP; all other messages go to the WebSocket server behind.

use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{prelude::*, reqwest};
use wasabi_tests::{http_service, serve};

use wasabi_tests::websocket_upstream::Upstream;

#[derive(Clone)]
struct Api(reqwest::Client, String);

impl Api {
    async fn get(&self, path: &str) -> Result<String> {
        let answer = self.0.get(format!("{}{path}", self.1)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

#[derive(Deserialize)]
struct Ask {
    params: Params,
    req_id: Value,
    passthrough: Value,
}

#[derive(Deserialize)]
struct Params {
    user: u32,
}

#[derive(Serialize)]
struct Answer {
    account: String,
    balance: String,
    req_id: Value,
    passthrough: Value,
}

#[backend]
async fn aggregate(State(api): State<Api>, Json(ask): Json<Ask>) -> Result<Json<Answer>> {
    let account = api.get(&format!("/users/{}", ask.params.user)).await?;
    let balance = api.get(&format!("/accounts/{account}")).await?;
    Ok(Json(Answer {
        account,
        balance,
        req_id: ask.req_id,
        passthrough: ask.passthrough,
    }))
}

// Long: one scenario.
#[tokio::test]
async fn a_composed_call_is_answered_and_everything_else_passes_through() {
    let service = Router::new()
        .route(
            "/users/{id}",
            get(async |Path(id): Path<String>| format!("a-{id}")),
        )
        .route("/accounts/{id}", get(async |Path(_): Path<String>| "100"));
    let http = Http::client_builder().build().expect("a client");
    let api = Api(http, http_service(service).await);
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(
        state = api,
        channel(
            "/",
            parser = JsonKey::at("/method")
                .id("/req_id")
                .or("passthrough")
                .not_json("passthrough"),
            match key {
                "aggregate" => aggregate,
                _ => WebSocket::connect(upstream.url("/")),
            },
        ),
        channel(
            "/strict",
            parser = JsonKey::at("/method").id("/req_id"),
            match key {
                "aggregate" => aggregate,
                "feed" => WebSocket::connect(upstream.url("/")),
                _ => NoRoute,
            },
        ),
    ))
    .await;

    let mut client = server.connect("/").await;
    let call = json!({
        "method": "aggregate", "params": {"user": 3}, "req_id": 7, "passthrough": {"k": 1},
    });
    assert_eq!(
        client.ask_json(call).await,
        json!({"account": "a-3", "balance": "100", "req_id": 7, "passthrough": {"k": 1}})
    );
    client.silent().await;
    assert_eq!(upstream.dials(), 0);

    client.send(r#"{"ping":"1"}"#).await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, r#"{"ping":"1"}"#);
    let pong = r#"{ "pong" : "1", "req_id": 1e0 }"#;
    peer.send(pong).await;
    assert_eq!(client.text().await, pong);
    let binary = Frame::binary(vec![0x00, 0x01, 0xff]);
    client.send(binary.clone()).await;
    assert_eq!(peer.next().await, binary);
    peer.send(binary.clone()).await;
    assert_eq!(client.next().await, binary);

    let mut client = server.connect("/strict").await;
    let reply = client
        .ask_json(json!({"method": "nope", "req_id": 8}))
        .await;
    assert_eq!(reply["req_id"], 8);
    assert_eq!(reply["error"]["code"], "no_route");
    client.silent().await;
    assert_eq!(upstream.dials(), 1, "that of the first client");
}
