//! The gateways that `graphql.mjs` uses.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use wasabi::{Close, Error, Gateway, GraphqlWs, Init, prelude::*};

#[derive(Deserialize)]
struct Credentials {
    token: String,
}

async fn login(init: Init) -> Result<Json<Value>, Close> {
    let Credentials { token } = init.payload()?;
    match token.as_str() {
        "secret" => Ok(Json(json!({"hello": "ada"}))),
        _ => Err(GraphqlWs::forbidden()),
    }
}

fn result(n: u64) -> Json<Value> {
    Json(json!({"data": {"n": n}}))
}

/// Counts the endless streams.
struct Running(Arc<AtomicU64>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn gateway() -> Gateway {
    let streams = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&streams);
    gateway!(channel(
        "/",
        protocol = GraphqlWs::new().init(login),
        match key {
            "One" => async || result(1),
            "Three" => async || Replies(stream::iter((1..=3).map(result))),
            "Fails" => async || Err::<String, _>(Error::new("sold_out", "sold out")),
            "Endless" => move || {
                counted.fetch_add(1, Ordering::SeqCst);
                let running = Running(Arc::clone(&counted));
                async {
                    Replies(stream::unfold((0, running), async |(n, running)| {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                        Some((result(n), (n + 1, running)))
                    }))
                }
            },
            "Streams" => move || {
                let running = streams.load(Ordering::SeqCst);
                async move { result(running) }
            },
            _ => NoRoute,
        },
    ))
}

/// In front of such a gateway.
pub(super) fn relay(url: &str) -> Gateway {
    let server = WebSocket::connect(url).forward_subprotocol();
    gateway!(channel("/", protocol = GraphqlWs::relay(), server))
}
