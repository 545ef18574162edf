//! The gateway that the clients are of: a shop with a fault for each test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
};

use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use wasabi::{
    Connection, Error, InFlight, JsonRpc, Kept, RequestId, Sent, ServerHandle, Subscriptions,
    Unsubscribe, middleware::http::BearerAuth, prelude::*, schema::ErrorCodes,
};

/// What the servers of a test share.
#[derive(Default)]
pub(super) struct Shop {
    /// How often each item was ordered.
    pub(super) orders: Mutex<BTreeMap<String, u32>>,
    /// Tokens that were used: each is good for one handshake.
    pub(super) tokens: Mutex<BTreeSet<String>>,
    /// A clone for each stream that is open.
    pub(super) streams: Arc<()>,
    pub(super) release: Notify,
    pub(super) handle: OnceLock<ServerHandle>,
    /// The client's code, for pages.
    pub(super) script: String,
}

impl Shop {
    fn order(&self, item: &str) -> u32 {
        let mut orders = self.orders.lock().expect("orders");
        let count = orders.entry(item.to_owned()).or_default();
        *count += 1;
        *count
    }
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    id: u64,
    item: String,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    id: u64,
    /// How often this item was ordered.
    count: u32,
}

enum OrderError {
    SoldOut,
}

impl From<OrderError> for Error {
    fn from(OrderError::SoldOut: OrderError) -> Self {
        Self::new("sold_out", "this item is sold out")
    }
}

impl ErrorCodes for OrderError {
    const CODES: &'static [&'static str] = &["sold_out"];
}

/// Places an order.
#[backend]
async fn order(
    State(shop): State<Arc<Shop>>,
    Json(order): Json<Order>,
) -> Result<Json<Receipt>, OrderError> {
    let id = order.id;
    match &*order.item {
        "milk" => Err(OrderError::SoldOut),
        item => Ok(Json(Receipt {
            id,
            count: shop.order(item),
        })),
    }
}

/// Answers from the second time on.
#[backend]
async fn second(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> Json<Receipt> {
    let count = shop.order(&order.item);
    if count == 1 {
        std::future::pending::<()>().await;
    }
    Json(Receipt {
        id: order.id,
        count,
    })
}

/// Answers once somebody says so.
#[backend]
async fn hold(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> Json<Receipt> {
    shop.release.notified().await;
    Json(Receipt {
        id: order.id,
        count: 0,
    })
}

#[backend]
async fn ordered(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> Json<Receipt> {
    let orders = shop.orders.lock().expect("orders");
    let count = orders.get(&order.item).copied().unwrap_or_default();
    Json(Receipt {
        id: order.id,
        count,
    })
}

#[backend]
async fn find(Json(order): Json<Order>) -> Option<Json<Receipt>> {
    (order.item == "tea").then_some(Json(Receipt {
        id: order.id,
        count: 0,
    }))
}

#[backend]
async fn broken(_: Json<Order>) -> Result<Json<Receipt>> {
    Err(Error::new("brand_new", "nobody knows this code"))
}

#[backend]
async fn ticks(
    State(shop): State<Arc<Shop>>,
    Json(order): Json<Order>,
) -> Replies<impl Stream<Item = Json<Receipt>>> {
    let open = shop.streams.clone();
    Replies(
        stream::iter(0..3)
            .chain(stream::pending())
            .map(move |count| {
                let _ = &open;
                Json(Receipt {
                    id: order.id,
                    count,
                })
            }),
    )
}

#[backend]
async fn streams(State(shop): State<Arc<Shop>>, id: RequestId) -> Json<Receipt> {
    let count = u32::try_from(Arc::strong_count(&shop.streams)).unwrap_or(u32::MAX) - 1;
    Json(Receipt {
        id: id.as_str().parse().unwrap_or_default(),
        count,
    })
}

#[derive(Deserialize, JsonSchema)]
struct Cancel {
    of: RequestNumber,
}

#[derive(Deserialize, JsonSchema)]
struct RequestNumber(u64);

#[backend]
async fn cancel(Json(cancel): Json<Cancel>, in_flight: InFlight) {
    in_flight
        .cancel(&RequestId::new(cancel.of.0.to_string()))
        .await;
}

#[backend]
async fn forget(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) {
    shop.order(&order.item);
}

/// A price has changed.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Up { price: u32 },
    Down { price: u32 },
}

#[backend]
async fn announce(connection: Connection) {
    for event in [Event::Up { price: 4 }, Event::Down { price: 3 }] {
        let text = serde_json::to_string(&event).expect("JSON");
        let _ = connection.send(text).await;
    }
}

async fn numbers(State(shop): State<Arc<Shop>>) -> Replies<impl Stream<Item = Json<u32>>> {
    let open = shop.streams.clone();
    Replies(
        stream::iter(0..3)
            .chain(stream::pending())
            .map(move |count| {
                let _ = &open;
                Json(count)
            }),
    )
}

async fn add(Params((a, b)): Params<(u32, u32)>) -> Result<Json<u32>, OrderError> {
    match b {
        0 => Err(OrderError::SoldOut),
        b => Ok(Json(a + b)),
    }
}

/// Each token is good for one handshake, as a ticket is.
fn verifying(
    shop: &Arc<Shop>,
) -> impl Fn(String) -> std::future::Ready<Option<Identity<String>>> + Clone + Send + Sync + 'static
{
    let shop = Arc::clone(shop);
    move |token: String| {
        let mut tokens = shop.tokens.lock().expect("tokens");
        let is_good = token.starts_with("good") && tokens.insert(token.clone());
        std::future::ready(is_good.then(|| Identity::new(token)))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Say {
    id: u64,
    group: String,
    number: u32,
}

async fn say(rooms: Registry, Json(say): Json<Say>) -> Result<Json<Receipt>> {
    let published = rooms.group(say.group).publish(Json(say.number)).await;
    published.elsewhere?;
    Ok(Json(Receipt {
        id: say.id,
        count: say.number,
    }))
}

/// Clients may follow all groups but these.
async fn may(_: Connection, group: String) -> Result<()> {
    match group.ends_with("secret") {
        true => Err(Error::new("forbidden", "it is secret")),
        false => Ok(()),
    }
}

// Long: one declaration.
pub(super) fn gateway(shop: Arc<Shop>) -> Gateway {
    let rooms = Registry::new();
    gateway!(
        state = shop.clone(),
        get("/", async || axum::response::Html("<title>A page</title>")),
        get("/client.mjs", {
            let shop = shop.clone();
            move || async move { ([("content-type", "text/javascript")], shop.script.clone()) }
        }),
        get("/drain", {
            let shop = shop.clone();
            move || async move { shop.handle.get().expect("a handle").drain() }
        }),
        get("/release", {
            let shop = shop.clone();
            move || async move { shop.release.notify_waiters() }
        }),
        channel(
            "/shop",
            parser = JsonKey::at("/do").id("/id"),
            sends = [Sent::of::<Json<Event>>("price").docs("After `announce`.")],
            match key {
                "order" => order,
                "second" => second,
                "hold" => hold,
                "ordered" => ordered,
                "find" => find,
                "broken" => broken,
                "ticks" => ticks,
                "streams" => streams,
                "cancel" => cancel,
                "forget" => forget,
                "announce" => announce,
                key if key.starts_with("any.") => Http::post("http://localhost:1/"),
                _ => NoRoute,
            },
        ),
        channel(
            "/tickets/{room}",
            http = [BearerAuth::new(verifying(&shop)).query_parameter("token")],
            parser = JsonKey::at("/head/do").id("/head/id"),
            match key {
                "room" => async |Path(room): Path<String>, id: RequestId| {
                    Json(Headed {
                        head: Head {
                            id: id.as_str().parse().unwrap_or_default(),
                        },
                        room,
                    })
                },
                _ => NoRoute,
            },
        ),
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            match key {
                "add" => add,
                "numbers" => numbers,
                "streams" =>
                    async |State(shop): State<Arc<Shop>>| Json(Arc::strong_count(&shop.streams) - 1),
                "stop" => Unsubscribe,
                _ => NoRoute,
            },
        ),
        channel("/echo", async |text: Text| text),
        channel(
            "/rooms",
            registry = rooms.clone(),
            groups = [
                Kept::prefix("short:").size(3).enveloped(),
                Kept::prefix("room:").enveloped().announced(),
            ],
            parser = JsonKey::at("/do").id("/id"),
            match key {
                "say" => {
                    let rooms = rooms.clone();
                    move |say: Json<Say>| self::say(rooms.clone(), say)
                }
                "follow" => Subscriptions::new(rooms, may),
                _ => NoRoute,
            },
        ),
    )
}

#[derive(Serialize, JsonSchema)]
struct Head {
    id: u64,
}

#[derive(Serialize, JsonSchema)]
struct Headed {
    head: Head,
    room: String,
}
