//! R23: a connection whose every slot is busy still answers pings, and its end cancels its work, also when nothing more is
//! read of it.

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::tungstenite::{Message as WsMessage, protocol::CloseFrame};
use wasabi::prelude::*;
use wasabi_tests::{Client, Gate, TestServer, serve, soon, told, until};

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

/// A client that has sent more than is read, and whose requests are not answered.
async fn overdone() -> (TestServer, Gate, UnboundedReceiver<u16>, Client) {
    let gate = Gate::closed();
    let held = gate.clone();
    let (hook, told) = told();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        ping = None,
        on_disconnect = hook,
        move |_: Text| {
            let held = held.clone();
            async move { held.pass().await }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..100 {
        client.send("x").await;
    }
    until("both slots are busy", || gate.running() == 2).await;
    (server, gate, told, client)
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_is_not_read_is_noticed_and_its_requests_are_cancelled() {
    let (_server, gate, mut told, client) = overdone().await;
    drop(client);
    until("the requests are cancelled", || gate.running() == 0).await;
    assert_eq!(soon(told.recv()).await, Some(1006));
}

#[tokio::test]
async fn the_close_of_a_client_that_is_not_read_is_found_when_it_hangs_up() {
    let (_server, gate, mut told, mut client) = overdone().await;
    let close = CloseFrame {
        code: 4000.into(),
        reason: "never mind".into(),
    };
    let close = WsMessage::Close(Some(close));
    client.send(close).await;
    client.silent().await;
    assert_eq!(gate.running(), 2);
    drop(client);
    until("the requests are cancelled", || gate.running() == 0).await;
    assert_eq!(soon(told.recv()).await, Some(4000));
}
