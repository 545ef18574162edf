//! A backend for a frontend: one method combines two HTTP calls; everything else passes unchanged to the WebSocket
//! server behind the gateway.
//!
//! Run `cargo run --example bff`. An optional argument is the address to listen on.

use axum::{Router, extract::Path as UrlPath, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasabi::{Error, prelude::*};

/// The state of the combined calls.
#[derive(Clone)]
struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    async fn get(&self, path: &str) -> Result<Value, Error> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

#[derive(Deserialize, JsonSchema)]
struct Ask {
    params: Params,
    req_id: Value,
    passthrough: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Params {
    user: u32,
}

#[derive(Serialize, JsonSchema)]
struct Answer {
    req_id: Value,
    balance: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    passthrough: Option<Value>,
}

/// Looks up a user, then the user's account.
#[backend]
async fn aggregate(State(api): State<Api>, Json(ask): Json<Ask>) -> Result<Json<Answer>, Error> {
    let user = api.get(&format!("/users/{}", ask.params.user)).await?;
    let account = api.get(&format!("/accounts/{}", user["account"])).await?;
    Ok(Json(Answer {
        req_id: ask.req_id,
        balance: account["balance"].clone(),
        passthrough: ask.passthrough,
    }))
}

/// The gateway, in front of the HTTP service and the WebSocket server at these URLs.
pub(crate) fn gateway(service: String, upstream: &str) -> Result<Gateway, reqwest::Error> {
    let api = Api {
        http: Http::client_builder().build()?,
        url: service,
    };
    Ok(gateway!(
        state = api,
        channel(
            "/",
            // Messages without a method, and those that are not JSON, go to the upstream. A message that another parser
            // could read differently, such as one with two methods, is refused.
            parser = JsonKey::at("/method")
                .id("/req_id")
                .or("passthrough")
                .not_json("passthrough"),
            match key {
                "aggregate" => with([Timeout::new(5s)], aggregate),
                _ => WebSocket::connect(upstream),
            },
        ),
    ))
}

/// Plays the HTTP service: users and their accounts.
fn service() -> Router {
    let user = async |UrlPath(id): UrlPath<u32>| axum::Json(json!({ "account": id * 100 }));
    let account = async |UrlPath(id): UrlPath<u32>| axum::Json(json!({ "balance": id + 7 }));
    Router::new()
        .route("/users/{id}", get(user))
        .route("/accounts/{id}", get(account))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let service_url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, service()).await });

    // The WebSocket server behind the gateway echoes everything.
    let upstream = Server::bind("127.0.0.1:0").signals(false);
    let handle = upstream.handle();
    tokio::spawn(upstream.serve(gateway!(channel("/", async |message: Message| message))));
    let upstream = format!("ws://{}/", handle.addr().await);

    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}");
        println!("try it: npx wscat -c ws://{addr}/, then");
        println!(
            r#"  {{"method":"aggregate","params":{{"user":3}},"req_id":7,"passthrough":{{"k":1}}}}"#
        );
        println!(r#"  {{"ping":"1"}}"#);
    });
    server.serve(gateway(service_url, &upstream)?).await?;
    Ok(())
}
