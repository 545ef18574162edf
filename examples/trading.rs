//! A market that describes itself. One declaration is the gateway, its document, a console to talk to it in, and the
//! clients of a page and of a program.
//!
//! Run `cargo run --example trading`, then open the page and the console that it prints, and let a program in Rust trade
//! beside you: `cargo run --example trading -- trade ws://127.0.0.1:8080`.
//!
//! What the gateway says of itself is in `trading/`, where a test compares it with the declaration:
//!
//!     cargo run --example trading -- asyncapi > examples/trading/asyncapi.yaml
//!     cargo run --example trading -- typescript > examples/trading/client.ts
//!     cargo run --example trading -- rust > examples/trading/client.rs

#[rustfmt::skip]
#[path = "trading/client.rs"]
pub(crate) mod client;
#[path = "trading/trader.rs"]
pub(crate) mod trader;

use std::{num::NonZeroU32, time::Duration};

use axum::{http::header::CONTENT_TYPE, response::Html};
use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use wasabi::{
    Admin, AsyncApi, CloseCode, Error, InFlight, RequestId, Sent, prelude::*, schema::ErrorCodes,
};

/// What a trader wants to buy.
#[derive(Deserialize, JsonSchema)]
#[schemars(example = json!({ "id": 1, "count": 5, "limit": 320 }))]
struct Order {
    id: u64,
    /// How many pieces of tea.
    count: NonZeroU32,
    /// The most that a piece may cost, in cents.
    limit: u32,
}

/// What was bought.
#[derive(Serialize, JsonSchema)]
struct Receipt {
    id: u64,
    count: u32,
    /// The price of all, in cents.
    paid: u64,
}

/// A trader wants to know the price.
#[derive(Deserialize, JsonSchema)]
struct Watch {
    id: u64,
}

/// The price of a piece, in cents.
#[derive(Serialize, JsonSchema)]
#[schemars(example = Self { id: 2, cents: 305 })]
struct Price {
    id: u64,
    cents: u32,
}

/// A trader does not want to know the price any more.
#[derive(Deserialize, JsonSchema)]
struct Stop {
    /// The id of the request for prices.
    of: u64,
}

/// A trader has bought something.
#[derive(Serialize, JsonSchema)]
struct Trade {
    count: u32,
    cents: u32,
}

enum OrderError {
    /// What a piece costs.
    TooDear(u32),
}

impl From<OrderError> for Error {
    fn from(OrderError::TooDear(cents): OrderError) -> Self {
        Self::new("too_dear", format!("a piece costs {cents} cents"))
    }
}

impl ErrorCodes for OrderError {
    const CODES: &'static [&'static str] = &["too_dear"];
}

const CHEAPEST: u32 = 100;
const DEAREST: u32 = 1000;

/// Tea, whose price rises by a cent with each piece that is bought.
#[derive(Clone)]
pub(crate) struct Market {
    cents: watch::Sender<u32>,
    traders: Registry,
}

impl Market {
    pub(crate) fn new() -> Self {
        Self {
            cents: watch::Sender::new(300),
            traders: Registry::new(),
        }
    }

    /// The price falls while nobody buys.
    async fn fall(self) {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.cents.send_if_modified(|cents| {
                let falls = *cents > CHEAPEST;
                *cents -= u32::from(falls);
                falls
            });
        }
    }
}

/// Buys tea at the price of now, if it is not too dear.
#[backend]
async fn place(
    State(market): State<Market>,
    Json(order): Json<Order>,
) -> Result<Json<Receipt>, OrderError> {
    let (count, mut cents) = (order.count.get(), 0);
    let is_bought = market.cents.send_if_modified(|now| {
        cents = *now;
        let is_bought = cents <= order.limit;
        if is_bought {
            *now = DEAREST.min(cents.saturating_add(count));
        }
        is_bought
    });
    if !is_bought {
        return Err(OrderError::TooDear(cents));
    }
    let told = market.traders.broadcast(Json(Trade { count, cents }));
    // Closes traders that do not keep up.
    for slow in told.skipped {
        slow.close(CloseCode::POLICY);
    }
    let (id, paid) = (order.id, u64::from(cents) * u64::from(count));
    Ok(Json(Receipt { id, count, paid }))
}

/// The price of now, and each one after it.
#[backend]
async fn prices(
    State(market): State<Market>,
    Json(Watch { id }): Json<Watch>,
) -> Replies<impl Stream<Item = Json<Price>>> {
    let mut now = market.cents.subscribe();
    now.mark_changed();
    Replies(stream::unfold(now, move |mut now| async move {
        now.changed().await.ok()?;
        let cents = *now.borrow_and_update();
        Some((Json(Price { id, cents }), now))
    }))
}

/// Ends a stream of prices.
#[backend]
async fn stop(Json(stop): Json<Stop>, in_flight: InFlight) {
    in_flight.cancel(&RequestId::new(stop.of.to_string())).await;
}

pub(crate) fn gateway(market: &Market) -> Gateway {
    const PAGE: &str = include_str!("trading/page.html");
    const SCRIPT: &str = include_str!("trading/page.js");
    gateway!(
        state = market.clone(),
        get("/", async || Html(PAGE)),
        get("/page.js", async || ([(CONTENT_TYPE, "text/javascript")], SCRIPT)),
        /// Tea, at a price that changes.
        channel(
            "/market",
            registry = market.traders.clone(),
            max_message_size = 4KiB,
            ping = 20s,
            parser = JsonKey::at("/do").id("/id"),
            sends = [Sent::of::<Json<Trade>>("trade").docs("A trader has bought something.")],
            match key {
                "order.place" => with([Timeout::new(2s)], place),
                "prices" => prices,
                "prices.stop" => stop,
                _ => NoRoute,
            },
        ),
    )
}

/// The document, with what the declaration does not know.
pub(crate) fn document() -> AsyncApi {
    gateway(&Market::new())
        .asyncapi()
        .title("Market")
        .version("1.0.0")
        .server("here", "ws://127.0.0.1:8080")
}

async fn serve(addr: &str) -> Result<(), ServeError> {
    let market = Market::new();
    tokio::spawn(market.clone().fall());
    let admin = Admin::bind("127.0.0.1:0");
    let server = Server::bind(addr).admin(admin.console().asyncapi(&document()));
    let handle = server.handle();
    tokio::spawn(async move {
        let (addr, admin) = (handle.addr().await, handle.admin_addr().await);
        println!("listening on ws://{addr}/market");
        println!("the page of traders: http://{addr}/");
        if let Some(admin) = admin {
            println!("the console: http://{admin}/console");
        }
        println!("a trader in Rust: cargo run --example trading -- trade ws://{addr}");
    });
    server.serve(gateway(&market)).await
}

#[allow(dead_code)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["asyncapi"] => print!("{}", document()),
        ["typescript"] => print!("{}", gateway(&Market::new()).typescript()),
        ["rust"] => print!("{}", gateway(&Market::new()).rust()),
        ["trade", url] => trader::trade(url).await?,
        [addr] => serve(addr).await?,
        _ => serve("127.0.0.1:8080").await?,
    }
    Ok(())
}
