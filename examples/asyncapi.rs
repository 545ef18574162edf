//! Prints the AsyncAPI document of a gateway, or its clients in TypeScript or Rust; `asyncapi.yaml`, `asyncapi.ts` and
//! `asyncapi_client.rs` beside this file are what it prints.
//!
//!     cargo run --example asyncapi > examples/asyncapi.yaml
//!     cargo run --example asyncapi -- typescript > examples/asyncapi.ts
//!     cargo run --example asyncapi -- rust > examples/asyncapi_client.rs

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasabi::{AsyncApi, Error, prelude::*, schema::ErrorCodes};

/// What a client wants to buy.
#[derive(Deserialize, JsonSchema)]
struct Order {
    req_id: u64,
    item: String,
    /// How many; one by default.
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

/// What it costs.
#[derive(Serialize, JsonSchema)]
struct Receipt {
    req_id: u64,
    price: u64,
}

#[derive(Serialize, JsonSchema)]
struct Tick {
    symbol: String,
    bid: f64,
}

enum OrderError {
    SoldOut,
}

impl From<OrderError> for Error {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::SoldOut => Self::new("sold_out", "this item is sold out"),
        }
    }
}

impl ErrorCodes for OrderError {
    const CODES: &'static [&'static str] = &["sold_out"];
}

/// Places an order.
///
/// It is carried out at once.
#[backend]
async fn place_order(
    Path(_tenant): Path<String>,
    Json(order): Json<Order>,
) -> Result<Json<Receipt>, OrderError> {
    if order.item != "tea" {
        return Err(OrderError::SoldOut);
    }
    Ok(Json(Receipt {
        req_id: order.req_id,
        price: 3 * u64::from(order.count),
    }))
}

/// Prices as they change.
#[backend]
async fn ticks() -> Vec<Json<Tick>> {
    let tick = |bid| {
        Json(Tick {
            symbol: "TEA".to_owned(),
            bid,
        })
    };
    vec![tick(3.0), tick(3.1)]
}

/// The gateway.
pub(crate) fn gateway() -> Gateway {
    gateway!(
        get("/readyz", readiness),
        /// Orders and prices of a tenant.
        channel(
            "/v1/{tenant}",
            max_message_size = 64KiB,
            ping = 20s,
            parser = JsonKey::at("/action").id("/req_id"),
            http = [BearerAuth::new(verify).query_parameter("token")],
            middleware = [Throttle::new(100)],
            match key {
                "order.place" => with([Timeout::new(2s)], place_order),
                "ticks" | "prices" => ticks,
                /// Forgets the session; nothing comes back.
                "session.forget" => async || (),
                "quote" => Http::post("http://quotes:8080/"),
                key if key.starts_with("legacy.") => WebSocket::connect("ws://legacy:9000/"),
                _ => NoRoute,
            },
        ),
        /// Says what it is told.
        channel("/echo", async |text: Text| text),
    )
}

async fn verify(token: String) -> Option<Identity<String>> {
    match &*token {
        "secret" => Some(Identity::new("Ada".to_owned())),
        _ => None,
    }
}

/// The document of the gateway.
pub(crate) fn document() -> AsyncApi {
    gateway()
        .asyncapi()
        .title("Trading")
        .version("1.0.0")
        .server("production", "wss://api.example.com")
}

#[allow(dead_code)]
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("typescript") => print!("{}", gateway().typescript()),
        Some("rust") => print!("{}", gateway().rust()),
        _ => print!("{}", document()),
    }
}
