//! R35: requests that were never looked at and requests that may have been carried out get different codes, so that a
//! client that sends again never orders twice.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Gateway, prelude::*};
use wasabi_tests::{TestServer, serve, serve_with};

/// How often each order was carried out.
#[derive(Clone, Default)]
struct Orders(Arc<Mutex<HashMap<u64, usize>>>);

impl Orders {
    fn place(&self, id: u64) {
        let mut placed = self.0.lock().expect("no panic");
        *placed.entry(id).or_default() += 1;
    }

    fn placed(&self) -> HashMap<u64, usize> {
        self.0.lock().expect("no panic").clone()
    }
}

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

/// Places an order at once, and confirms it late.
async fn slowly(State(orders): State<Orders>, Json(order): Json<Order>) -> Json<u64> {
    orders.place(order.id);
    if order.id % 2 == 0 {
        pending::<()>().await;
    }
    Json(order.id)
}

async fn at_once(State(orders): State<Orders>, Json(order): Json<Order>) -> Json<Value> {
    orders.place(order.id);
    Json(json!({ "id": order.id }))
}

fn shop(orders: &Orders) -> Gateway {
    gateway!(
        state = orders.clone(),
        channel(
            "/slow",
            concurrency = 4,
            parser = JsonKey::at("/do").id("/id"),
            slowly
        ),
        channel("/", parser = JsonKey::at("/do").id("/id"), at_once),
    )
}

fn order(id: u64) -> String {
    json!({ "do": "order", "id": id }).to_string()
}

/// Returns the codes of error replies until the connection closes, by id.
async fn codes(client: &mut wasabi_tests::Client) -> HashMap<u64, String> {
    let mut codes = HashMap::new();
    loop {
        let Frame::Text(text) = client.next().await else {
            return codes;
        };
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(code) = reply["error"]["code"].as_str() {
            codes.insert(reply["id"].as_u64().expect("an id"), code.to_owned());
        }
    }
}

/// A drain whose deadline passes: requests in flight, requests read ahead, and a late one.
async fn drained(server: TestServer) -> HashMap<u64, String> {
    let mut client = server.connect("/slow").await;
    for id in 0..12 {
        client.send(order(id)).await;
    }
    client.send(Frame::Ping("read?".into())).await;
    while !matches!(client.next().await, Frame::Pong(_)) {}
    server.handle.drain();
    client.send(order(99)).await;
    codes(&mut client).await
}

#[tokio::test]
async fn a_client_that_resends_requests_answered_closing_never_orders_twice() {
    let orders = Orders::default();
    let server = serve_with(shop(&orders), |server| {
        server.drain_timeout(Duration::from_millis(200))
    })
    .await;
    let codes = drained(server).await;
    let placed = orders.placed();
    for (id, code) in &codes {
        let expected = if placed.contains_key(id) {
            "interrupted"
        } else {
            "closing"
        };
        assert_eq!(code, expected, "{id}");
    }
    for code in ["closing", "interrupted"] {
        assert!(codes.values().any(|other| other == code), "{codes:?}");
    }
    let elsewhere = serve(shop(&orders)).await;
    let mut client = elsewhere.connect("/").await;
    for (id, _) in codes.iter().filter(|(_, code)| *code == "closing") {
        assert_eq!(
            client.ask_json(json!({"do": "order", "id": id})).await["id"],
            *id
        );
    }
    assert!(orders.placed().values().all(|times| *times == 1));
    for id in (0..12).chain([99]) {
        assert!(orders.placed().contains_key(&id), "{id} is lost");
    }
}

/// An upstream that takes the message and disappears may have carried it out; an unreachable one has not.
#[tokio::test]
async fn a_lost_upstream_and_an_unreachable_one_have_different_codes() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let leaves = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = leaves.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = leaves.accept().await {
            tokio::spawn(async move {
                use futures_util::StreamExt;
                let mut socket = tokio_tungstenite::accept_async(stream)
                    .await
                    .expect("a client");
                let _order = socket.next().await;
            });
        }
    });
    let asked = |addr| WebSocket::connect(format!("ws://{addr}/")).correlate("/id");
    let server = serve(gateway!(
        parser = JsonKey::at("/do").id("/id"),
        channel("/lost", asked(addr)),
        channel("/unreachable", asked(gone)),
    ))
    .await;
    for (path, code) in [
        ("/lost", "upstream_lost"),
        ("/unreachable", "upstream_unreachable"),
    ] {
        let mut client = server.connect(path).await;
        let reply = client.ask_json(json!({"do": "order", "id": 1})).await;
        assert_eq!(reply["error"]["code"], code);
    }
}

/// Nor does the gateway itself order twice: this kind of retry is only for what was not sent.
#[tokio::test]
async fn a_retry_of_unsent_requests_does_not_resend_what_an_upstream_may_have_seen() {
    let orders = Orders::default();
    let seen = orders.clone();
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = upstream.local_addr().expect("an address");
    tokio::spawn(async move {
        use futures_util::StreamExt;
        while let Ok((stream, _)) = upstream.accept().await {
            let mut socket = tokio_tungstenite::accept_async(stream)
                .await
                .expect("a client");
            if let Some(Ok(_)) = socket.next().await {
                seen.place(1);
            }
        }
    });
    let backend = WebSocket::connect(format!("ws://{addr}/"))
        .correlate("/id")
        .reconnect(wasabi::Backoff::constant(Duration::from_millis(5)));
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        with(
            [Retry::new(Backoff::constant(1ms).retries(3)).if_not_sent()],
            backend
        ),
    )))
    .await;
    let mut client = server.connect("/").await;
    let reply = client.ask_json(json!({"do": "order", "id": 1})).await;
    assert_eq!(reply["error"]["code"], "upstream_lost");
    assert_eq!(orders.placed()[&1], 1);
}
