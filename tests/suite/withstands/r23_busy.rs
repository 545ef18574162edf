//! R23: a connection whose every slot is busy still answers pings, and its end cancels its work.

use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::prelude::*;
use wasabi_tests::{Gate, serve, until};

#[tokio::test]
async fn a_ping_is_answered_while_every_slot_is_busy() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", concurrency = 2, move |_: Text| {
        let held = held.clone();
        async move { held.pass().await }
    },)))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..10 {
        client.send("x").await;
    }
    until("both slots are busy", || gate.running() == 2).await;
    client.send(WsMessage::Ping("still there?".into())).await;
    assert_eq!(client.next().await, WsMessage::Pong("still there?".into()));
}

#[tokio::test]
async fn a_close_of_the_client_cancels_its_requests_while_every_slot_is_busy() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", concurrency = 2, move |_: Text| {
        let held = held.clone();
        async move { held.pass().await }
    },)))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..5 {
        client.send("x").await;
    }
    until("both slots are busy", || gate.running() == 2).await;
    client.close(1000, "never mind").await;
    until("the requests are cancelled", || gate.running() == 0).await;
}
